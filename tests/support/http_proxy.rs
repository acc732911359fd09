//! An HTTP proxy, whose connections to servers come from an address of its own.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Passes requests on in absolute form (RFC 9112 §3.2.2), as they come. It ends with the runtime of
/// the test.
pub(crate) struct HttpProxy(SocketAddr);

impl HttpProxy {
    /// Starts a proxy whose requests come from `address`.
    pub(crate) async fn start(address: IpAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, address));
            }
        });
        Self(own)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Passes a connection on to the server that its first request names.
async fn pass_on(mut client: TcpStream, address: IpAddr) {
    let mut begin = Vec::new();
    while !begin.ends_with(b"\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        begin.push(byte);
    }
    let line = String::from_utf8(begin).unwrap();
    let url: url::Url = line.split(' ').nth(1).unwrap().parse().unwrap();
    let server: SocketAddr = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let mut server = socket.connect(server).await.unwrap();
    server.write_all(line.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
