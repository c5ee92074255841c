//! TLS connections, which lead to the backend of their server name as they are.

use std::io;
use std::sync::Arc;

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::Routes;

/// Forwards connections. One whose server name has no backend is closed.
pub(super) async fn serve(listener: TcpListener, routes: Arc<Routes>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(forward(stream, routes.clone()));
    }
}

async fn forward(mut client: TcpStream, routes: Arc<Routes>) -> io::Result<()> {
    let (begin, name) = greeting(&mut client).await?;
    let backend = name.and_then(|name| routes.tls_backend(&name));
    for address in backend.iter().flat_map(|backend| routes.addresses(backend)) {
        if let Ok(mut server) = TcpStream::connect(address).await {
            server.write_all(&begin).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            return Ok(());
        }
    }
    Ok(())
}

/// The client's first message, and the server name in it.
async fn greeting(client: &mut TcpStream) -> io::Result<(Vec<u8>, Option<String>)> {
    let (mut begin, mut acceptor) = (Vec::new(), Acceptor::default());
    loop {
        let mut part = [0; 4096];
        let length = client.read(&mut part).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        begin.extend_from_slice(&part[..length]);
        acceptor.read_tls(&mut &part[..length])?;
        let accepted = acceptor.accept().map_err(|(error, _)| io::Error::other(error))?;
        if let Some(accepted) = accepted {
            let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
            return Ok((begin, name));
        }
    }
}
