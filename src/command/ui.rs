//! `certwright ui`: serves a page about Certificates and issuers to the browser on the same machine.
//!
//! Nothing is installed in the cluster. The command watches what its user may read, turns each row into what the page shows of it
//! ([`rows`]), and sends the page each change ([`board`], [`answers`]).

mod access;
mod answers;
mod board;
mod page;
mod rows;

use std::net::Ipv4Addr;
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;

use self::access::Token;
use self::answers::Answers;
use self::board::Board;
use super::output::tell;
use super::rows::watches::watch;
use super::{ClusterArgs, Error, Exit, print};

/// What the page shows, and what it may do.
#[derive(Args, Clone, Debug)]
pub struct Ui {
    /// Show the Certificates and Issuers of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// The port on 127.0.0.1; by default, a free one.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Let the page renew Certificates and retry issuers. Without it, the page changes nothing.
    #[arg(long)]
    pub allow_actions: bool,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Ui {
    /// Prints the URL of the page, and serves it until the process is interrupted.
    ///
    /// # Errors
    /// [`Error`], if there is no cluster, or the port cannot be used.
    pub async fn execute(self) -> Result<Exit, Error> {
        let cluster = self.cluster.connect().await?;
        let refused = |error| Error::Listen(self.port, error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let token = Token::generate()?;
        // The part after `#` is never sent: it stays in the browser.
        print(&format!("http://{address}/#{}\n", token.as_str()))?;
        let may = match self.allow_actions {
            true => "renew Certificates and retry issuers",
            false => "read what your kubeconfig lets you read",
        };
        tell(&format!(
            "Open this URL in a browser on this machine. Whoever has it can {may}. Ctrl+C ends it.\n"
        ))?;
        let board = Arc::new(Board::default());
        let namespace = Some(cluster.namespace.clone()).filter(|_| !self.all_namespaces);
        let changes = watch(&cluster, namespace.as_deref(), None);
        let answers = Answers {
            context: self.cluster.context_in_use(),
            cluster: cluster.clone(),
            namespace: namespace.clone(),
            board: board.clone(),
            allows_actions: self.allow_actions,
        };
        tokio::select! {
            () = rows::follow(changes, &board) => {}
            () = answers.serve(listener, token) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(Exit::Fine)
    }
}
