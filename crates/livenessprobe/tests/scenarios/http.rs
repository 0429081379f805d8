//! One HTTP request without any library that could hide something.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, status: u16, body: &str) -> bool {
        (self.status, self.body.as_str()) == (status, body)
    }
}

/// A connection that stays open between requests.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> std::io::Result<Self> {
        Ok(Self { stream: BufReader::new(TcpStream::connect(("127.0.0.1", port))?) })
    }

    pub(crate) fn send(&mut self, method: &str, path: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        // At once: pieces would wait for each other's acknowledgement.
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    pub(crate) fn receive(&mut self, method: &str) -> Answer {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        if method != "HEAD" {
            let mut body = vec![0; answer.header("content-length").unwrap().parse().unwrap()];
            self.stream.read_exact(&mut body).unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.send(method, path);
        self.receive(method)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// Asks over a connection of its own.
pub(crate) fn ask(method: &str, port: u16, path: &str) -> Answer {
    Client::connect(port).unwrap().ask(method, path)
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    ask("GET", port, path)
}
