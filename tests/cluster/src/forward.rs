//! Connects TCP clients with a server in a run's network namespace, through a unix socket, since both have the same files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// The socket in a run's directory that is connected to its API server.
pub fn api_socket(state: &Path) -> PathBuf {
    state.join("api.sock")
}

/// Outside of the namespaces: forwards each connection of `listener` to the socket. Never returns.
pub async fn accept_outside(listener: TcpListener, socket: PathBuf) {
    while let Ok((mut outside, _)) = listener.accept().await {
        let socket = socket.clone();
        tokio::spawn(async move {
            let mut inside = UnixStream::connect(socket).await?;
            copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}

/// Inside of the namespaces: forwards each connection of the socket to `address`, in the background.
pub fn accept_inside(socket: &Path, address: String) -> Result<()> {
    let listener =
        UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut inside = TcpStream::connect(address).await?;
                copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    Ok(())
}
