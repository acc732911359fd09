//! Who may change what is in a folder: the rule that DESIGN.md states under "Which folders does a
//! file store use?".

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// The permissions of a file or folder, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ownership {
    pub(super) user: u32,
    pub(super) group: u32,
    /// The nine bits of read, write and execute, and the sticky bit.
    pub(super) mode: u32,
}

impl Ownership {
    /// Returns whether every user of the machine may write to it.
    pub(super) fn is_open_to_all(self) -> bool {
        self.mode & 0o002 != 0
    }

    /// Returns whether a file in it may be renamed and deleted only by the owner of the file, and
    /// by its own.
    pub(super) fn is_sticky(self) -> bool {
        self.mode & 0o1000 != 0
    }
}

impl From<&Metadata> for Ownership {
    fn from(metadata: &Metadata) -> Self {
        Self { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o1777 }
    }
}

/// The user and the groups of a process.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) user: u32,
    pub(super) groups: Vec<u32>,
}

impl Identity {
    /// Returns those of this process.
    pub(super) fn current() -> Self {
        // Without the list, only the main group counts.
        let mut groups = rustix::process::getgroups().unwrap_or_default();
        groups.push(rustix::process::getegid());
        let groups = groups.into_iter().map(rustix::process::Gid::as_raw).collect();
        Self { user: rustix::process::geteuid().as_raw(), groups }
    }

    /// Returns whether it is this user's or root's.
    pub(super) fn owns(&self, it: Ownership) -> bool {
        it.user == self.user || it.user == 0
    }

    /// Returns whether nobody may change what is in the folder but its owner, and those whom this
    /// user, root, or a group of this process lets do so.
    pub(super) fn accepts(&self, folder: Ownership) -> bool {
        folder.mode & 0o022 == 0 || self.owns(folder) || self.groups.contains(&folder.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;
    const FS_GROUP: u32 = 2000;

    fn accepts(user: u32, group: u32, mode: u32) -> bool {
        Identity { user: ALICE, groups: vec![ALICE, FS_GROUP] }.accepts(Ownership { user, group, mode })
    }

    #[test]
    fn folders_that_others_may_write_to_are_accepted_from_this_user_root_and_own_groups_only() {
        for (user, group, mode, accepted) in [
            // An emptyDir of Kubernetes, without and with fsGroup.
            (0, 0, 0o777, true),
            (0, FS_GROUP, 0o777, true),
            // A volume claim with fsGroup: from root, and from a provisioner that runs as a user.
            (0, FS_GROUP, 0o775, true),
            (BOB, FS_GROUP, 0o775, true),
            // StateDirectory of systemd; folders that a user made with this umask or that.
            (ALICE, ALICE, 0o755, true),
            (ALICE, BOB, 0o777, true),
            // A folder of another user, in which only that user may write.
            (BOB, BOB, 0o755, true),
            (BOB, BOB, 0o775, false),
            (BOB, BOB, 0o757, false),
            (BOB, 0, 0o777, false),
        ] {
            assert_eq!(accepts(user, group, mode), accepted, "{user}:{group} {mode:o}");
        }
    }

    #[test]
    fn a_file_counts_as_own_by_its_user_and_not_by_its_group() {
        let identity = Identity { user: ALICE, groups: vec![FS_GROUP] };
        // In a folder with the set-group-ID bit, the files of all users have its group.
        for (user, owns) in [(ALICE, true), (0, true), (BOB, false)] {
            assert_eq!(identity.owns(Ownership { user, group: FS_GROUP, mode: 0o600 }), owns, "{user}");
        }
    }

    #[test]
    fn the_current_identity_is_that_of_new_files() {
        let file = tempfile::tempfile().unwrap().metadata().unwrap();
        assert!(Identity::current().owns((&file).into()));
        assert!(Identity::current().groups.contains(&file.gid()) || file.gid() == 0);
    }
}
