//! A server that answers every request by itself with the number in the request, so that each
//! caller can recognise its reply.

use super::peer::{Peer, Server};
use std::sync::{Arc, Mutex};

/// The requests that the server has executed on all connections, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, request: &str) {
        self.0.lock().unwrap().push(request.to_owned());
    }

    /// Returns how often a request named this number, ignoring leading zeros.
    pub(crate) fn count_of(&self, n: u64) -> usize {
        let last = |request: &String| request.rsplit(' ').next().and_then(|word| word.parse().ok());
        self.requests().iter().filter(|request| last(request) == Some(n)).count()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Returns how often a request ended with this word.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.requests().iter().filter(|request| request.rsplit(' ').next() == Some(word)).count()
    }
}

/// Answers on every connection accepted from now on.
pub(crate) fn spawn(server: &Server) -> Log {
    let (server, log) = (server.clone(), Log::default());
    let served = log.clone();
    tokio::spawn(async move {
        loop {
            let mut peer = server.next().await;
            let log = served.clone();
            tokio::spawn(async move {
                if peer.greet_or_end().await.is_some() {
                    serve(&mut peer, &log).await;
                }
            });
        }
    });
    log
}

/// Answers until the client closes the connection.
async fn serve(peer: &mut Peer, log: &Log) {
    let mut session = Session::default();
    while let Some(request) = peer.next_request().await {
        peer.send(session.answer(&request, log)).await;
    }
}

/// The state of one connection: the replies of an open transaction.
#[derive(Default)]
pub(crate) struct Session(Option<Vec<String>>);

impl Session {
    pub(crate) fn answer(&mut self, request: &str, log: &Log) -> String {
        match (request, &mut self.0) {
            ("MULTI", _) => {
                self.0 = Some(Vec::new());
                "+OK\r\n".to_owned()
            }
            ("EXEC", _) => {
                let ran = self.0.take().unwrap_or_default();
                ran.iter().for_each(|request| log.note(request));
                let replies = ran.iter().map(|request| reply_to(request));
                format!("*{}\r\n{}", ran.len(), replies.collect::<String>())
            }
            (_, Some(queued)) => {
                queued.push(request.to_owned());
                "+QUEUED\r\n".to_owned()
            }
            (_, None) => {
                log.note(request);
                reply_to(request)
            }
        }
    }
}

/// Answers `XLEN n` with `n`, and `XREAD ... n-0` with an entry of that id.
pub(crate) fn reply_to(request: &str) -> String {
    let last = request.rsplit(' ').next().unwrap_or_default();
    match last.split_once('-') {
        Some((ms, _)) => entry(ms.parse().expect("an id")),
        None => format!(":{}\r\n", last.parse::<u64>().expect("a number")),
    }
}

/// The reply of XREAD: one entry of one stream.
pub(crate) fn entry(ms: u64) -> String {
    let id = format!("{ms}-0");
    format!("%1\r\n$1\r\ns\r\n*1\r\n*2\r\n${}\r\n{id}\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", id.len())
}
