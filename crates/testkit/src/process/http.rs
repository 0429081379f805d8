//! HTTP without any library that could hide something.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The text.
    pub body: String,
}

impl Answer {
    /// The header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is exactly this.
    pub fn is(&self, status: u16, body: &str) -> bool {
        (self.status, self.body.as_str()) == (status, body)
    }
}

/// A connection that stays open between requests.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> std::io::Result<Self> {
        Ok(Self { stream: BufReader::new(TcpStream::connect(("127.0.0.1", port))?) })
    }

    /// Sends a request.
    pub fn send(&mut self, method: &str, path: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        // At once: pieces would wait for each other's acknowledgement.
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// Waits for the answer to a request of this method.
    pub fn receive(&mut self, method: &str) -> Answer {
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

    /// One after the other.
    pub fn ask(&mut self, method: &str, path: &str) -> Answer {
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
pub fn ask(method: &str, port: u16, path: &str) -> Answer {
    Client::connect(port).unwrap().ask(method, path)
}

/// Asks for what is at this path.
pub fn get(port: u16, path: &str) -> Answer {
    ask("GET", port, path)
}
