//! HTTP/1 read the strict way: what two readers could take for two things is an error.

use std::fmt;
use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length,
    Chunked,
    Close,
}

/// A request or an answer, read to its end.
#[derive(Debug, Clone)]
pub struct Message {
    pub start: String,
    /// Names in lower case, values as they came but for the blanks around them.
    pub headers: Vec<(String, Vec<u8>)>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    pub fn status(&self) -> u16 {
        self.start
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    pub fn closes(&self) -> bool {
        self.framing == Framing::Close
            || self
                .all("connection")
                .iter()
                .any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Why no message could be read.
#[derive(Debug)]
pub enum Broken {
    /// The connection ended in the middle of one, or failed.
    Cut(io::Error),
    /// It can be read in more than one way.
    Unclear(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(error) => write!(f, "cut: {error}"),
            Self::Unclear(what) => write!(f, "unclear: {what}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Cut(error)
    }
}

fn unclear<T>(what: &str, bytes: &[u8]) -> Result<T, Broken> {
    Err(Broken::Unclear(format!("{what}: {}", bytes.escape_ascii())))
}

/// Reads messages from one connection.
pub struct Reader<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(from: R) -> Self {
        Self(BufReader::new(from))
    }

    pub fn get_mut(&mut self) -> &mut R {
        self.0.get_mut()
    }

    /// The next request; `None` when the connection ends before one begins.
    pub async fn request(&mut self) -> Result<Option<Message>, Broken> {
        let Some(start) = self.line().await? else {
            return Ok(None);
        };
        let words: Vec<&[u8]> = start.split(|byte| *byte == b' ').collect();
        let [method, target, version] = words.as_slice() else {
            return unclear("request line", &start);
        };
        let visible = |byte: &u8| (0x21..=0x7e).contains(byte);
        if !is_token(method) || target.is_empty() || !target.iter().all(visible) {
            return unclear("request line", &start);
        }
        if *version != b"HTTP/1.1" {
            return unclear("version", version);
        }
        let headers = self.fields().await?;
        if headers.iter().filter(|(name, _)| name == "host").count() != 1 {
            return unclear("not one host", &start);
        }
        let framing = framing(&headers)?;
        self.message(start, headers, framing.unwrap_or(Framing::None))
            .await
    }

    /// The next final answer; `bodiless` when it answers a HEAD. `None` when the connection ends before one begins.
    pub async fn answer(&mut self, bodiless: bool) -> Result<Option<Message>, Broken> {
        loop {
            let Some(start) = self.line().await? else {
                return Ok(None);
            };
            if !start.starts_with(b"HTTP/1.1 ") || start.len() < 12 {
                return unclear("status line", &start);
            }
            let headers = self.fields().await?;
            let framing = framing(&headers)?;
            let status = &start[9..12];
            if status == b"100" {
                continue;
            }
            let none = bodiless || status[0] == b'1' || status == b"204" || status == b"304";
            let framing = match framing {
                _ if none => Framing::None,
                framing => framing.unwrap_or(Framing::Close),
            };
            return self.message(start, headers, framing).await;
        }
    }

    async fn message(
        &mut self,
        start: Vec<u8>,
        headers: Vec<(String, Vec<u8>)>,
        framing: Framing,
    ) -> Result<Option<Message>, Broken> {
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        match framing {
            Framing::None => {}
            Framing::Close => {
                self.0.read_to_end(&mut body).await?;
            }
            Framing::Length => {
                let length = headers
                    .iter()
                    .find(|(name, _)| name == "content-length")
                    .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok())
                    .unwrap_or(0);
                body = vec![0; length];
                self.0.read_exact(&mut body).await?;
            }
            Framing::Chunked => {
                while let Some(size) = self.chunk_size().await? {
                    let from = body.len();
                    body.resize(from + size, 0);
                    self.0.read_exact(&mut body[from..]).await?;
                    let mut end = [0; 2];
                    self.0.read_exact(&mut end).await?;
                    if end != *b"\r\n" {
                        return unclear("end of chunk", &end);
                    }
                }
                trailers = self.fields().await?;
            }
        }
        Ok(Some(Message {
            start: String::from_utf8_lossy(&start).into_owned(),
            headers,
            framing,
            body,
            trailers,
        }))
    }

    /// The size of the next chunk; `None` for the last one. Extensions are not clear: readers differ in them.
    async fn chunk_size(&mut self) -> Result<Option<usize>, Broken> {
        let line = self
            .line()
            .await?
            .ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let digits = line.iter().all(u8::is_ascii_hexdigit) && line.len() <= 8;
        match usize::from_str_radix(&String::from_utf8_lossy(&line), 16) {
            Ok(0) if digits => Ok(None),
            Ok(size) if digits => Ok(Some(size)),
            _ => unclear("chunk size", &line),
        }
    }

    async fn fields(&mut self) -> Result<Vec<(String, Vec<u8>)>, Broken> {
        let mut fields = Vec::new();
        loop {
            let line = self
                .line()
                .await?
                .ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
            let (name, value) = line.split_at(colon);
            let control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
            if !is_token(name) || value.iter().any(control) {
                return unclear("header", &line);
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            fields.push((name, value[1..].trim_ascii().to_vec()));
        }
    }

    /// A line without its CRLF; `None` when the connection ends before it begins.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.ends_with(b"\n") {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) if !text.contains(&b'\r') => Ok(Some(text.to_vec())),
            _ => unclear("line end", &line),
        }
    }
}

/// The framing that the head tells; `None` when it tells none.
pub fn framing(headers: &[(String, Vec<u8>)]) -> Result<Option<Framing>, Broken> {
    let all = |wanted: &str| -> Vec<&[u8]> {
        headers
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    match (
        all("transfer-encoding").as_slice(),
        all("content-length").as_slice(),
    ) {
        ([], []) => Ok(None),
        ([], [length]) if length.iter().all(u8::is_ascii_digit) && !length.is_empty() => {
            Ok(Some(Framing::Length))
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (codings, lengths) => Err(Broken::Unclear(format!(
            "framing: transfer-encoding {codings:?}, content-length {lengths:?}"
        ))),
    }
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}
