use std::future::ready;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::*;
use crate::clock;

const LIMITS: Limits = Limits { connections: 8, headers: 8 * 1024, keep_alive: None };

#[tokio::test]
async fn idle_connections_of_one_peer_do_not_keep_others_out() {
    let server = Server::start();
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(server.connect("127.0.0.1").await);
    }
    let asked = timeout(Duration::from_secs(2), server.get("127.0.0.2", "/", "")).await;
    assert!(asked.unwrap().ends_with("answered"));
    let asked = timeout(Duration::from_secs(2), server.get("127.0.0.1", "/", "")).await;
    assert!(asked.unwrap().ends_with("answered"), "the greedy peer itself");
}

#[tokio::test]
async fn a_connection_closed_to_make_room_is_the_oldest_of_its_peer() {
    let server = Server::start();
    let mut other = server.connect("127.0.0.2").await;
    let mut idle = Vec::new();
    for _ in 0..LIMITS.connections {
        idle.push(server.connect("127.0.0.1").await);
    }
    let mut end = [0];
    let closed = timeout(Duration::from_secs(2), idle[0].read(&mut end)).await.unwrap();
    assert_eq!(closed.unwrap_or(0), 0);
    assert!(ask(&mut other, "/", "").await.ends_with("answered"), "the other peer keeps its place");
    assert!(ask(&mut idle[1], "/", "").await.ends_with("answered"), "so do the younger ones");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_complete_request_in_time_is_closed() {
    let server = Server::start();
    let mut slow = server.connect("127.0.0.1").await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut silent = server.connect("127.0.0.1").await;
    let began = tokio::time::Instant::now();
    let mut end = Vec::new();
    let _ = slow.read_to_end(&mut end).await;
    let _ = silent.read_to_end(&mut end).await;
    assert!(began.elapsed() <= CONNECTION_TIMEOUT, "{:?}", began.elapsed());
    assert!(!String::from_utf8_lossy(&end).contains("200"), "{end:?}");
}

#[tokio::test]
async fn large_headers_are_refused() {
    let server = Server::start();
    let header = format!("X-Large: {}\r\n", "a".repeat(LIMITS.headers * 2));
    assert!(!server.get("127.0.0.1", "/", &header).await.contains("200 OK"));
    let many = "X: 1\r\n".repeat(MAX_HEADERS + 1);
    assert!(!server.get("127.0.0.1", "/", &many).await.contains("200 OK"));
}

#[tokio::test]
async fn a_panic_harms_the_connection_that_it_is_in_and_no_other() {
    let server = Server::start();
    assert_eq!(server.get("127.0.0.1", "/panic", "").await, "");
    assert!(server.get("127.0.0.1", "/", "").await.ends_with("answered"));
}

#[tokio::test]
async fn the_end_does_not_wait_for_silent_peers() {
    let server = Server::start();
    let silent = server.connect("127.0.0.1").await;
    server.get("127.0.0.1", "/", "").await;
    server.stop.cancel();
    timeout(Duration::from_secs(2), server.task).await.unwrap().unwrap();
    drop(silent);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_if_the_server_says_so_and_not_for_ever() {
    let begun = clock::instant();
    let once = Server::start();
    let mut connection = once.connect("127.0.0.1").await;
    assert_eq!(answers(&mut connection, 3).await, 1);

    let again = Server::with(Limits { keep_alive: Some(KEEP_ALIVE), ..LIMITS });
    let mut connection = again.connect("127.0.0.1").await;
    assert_eq!(answers(&mut connection, 3).await, 3);
    let mut end = [0];
    let closed = timeout(KEEP_ALIVE * 2, connection.read(&mut end)).await.unwrap();
    assert_eq!(closed.unwrap_or(0), 0);
    assert!(begun.elapsed() >= KEEP_ALIVE, "{:?}", begun.elapsed());
}

const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How many of these requests are answered on a connection, one after the other.
async fn answers(connection: &mut TcpStream, requests: usize) -> usize {
    for answered in 0..requests {
        let sent = connection.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        let mut response = Vec::new();
        while sent.is_ok() && !response.ends_with(b"answered") {
            match connection.read_buf(&mut response).await {
                Ok(1..) => {}
                _ => return answered,
            }
        }
        if sent.is_err() {
            return answered;
        }
    }
    requests
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    fn start() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: Limits) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let answer = |request: Request<Incoming>| {
            assert_ne!(request.uri().path(), "/panic");
            ready(Response::new(Full::new(Bytes::from_static(b"answered"))))
        };
        let task = tokio::spawn(serve(listener, answer, limits, stop.clone()));
        Self { address, stop, task }
    }

    async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn get(&self, from: &str, path: &str, headers: &str) -> String {
        ask(&mut self.connect(from).await, path, headers).await
    }
}

async fn ask(stream: &mut TcpStream, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n");
    // The server may answer before everything is sent, and close with our bytes unread: that arrives here as a reset.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8(response).unwrap()
}
