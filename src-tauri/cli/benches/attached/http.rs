//! One connection that is kept for as long as the engine keeps it: a request, its whole answer, the next
//! request. An engine with few places left ends it with an answer; the next request opens another.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub(crate) struct Line {
    stream: Option<TcpStream>,
    address: String,
}

impl Line {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        Ok(Self { stream: Some(connect(address).await?), address: address.to_owned() })
    }

    /// Sends a request; gives the status and the body.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> io::Result<(u16, Vec<u8>)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.address).await?,
        };
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let end = loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            more(&mut stream, &mut answer).await?;
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        while answer.len() < end + 4 + length {
            more(&mut stream, &mut answer).await?;
        }
        if !head.contains("\r\nconnection: close") {
            self.stream = Some(stream);
        }
        Ok((status, answer.split_off(end + 4)))
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn more(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(io::Error::other("the answer is too large"));
    }
    match stream.read_buf(answer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
