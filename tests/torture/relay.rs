//! A relay between clients and a server, which can be closed. Then connections are refused.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { address, server, listening: Some(tokio::spawn(serve(listener, server))) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn close(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            // The port is closed when the task has ended.
            let _ = listening.await;
        }
    }

    /// Accepts connections again, on the same port.
    pub(crate) async fn reopen(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.listening = Some(tokio::spawn(serve(listener, self.server)));
        Ok(())
    }
}

async fn serve(listener: TcpListener, server: SocketAddr) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut server = TcpStream::connect(server).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}
