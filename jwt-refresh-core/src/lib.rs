//! The core of jwt-refresh: everything that runs.
