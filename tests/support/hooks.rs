//! A webhook server that keeps every request and sends the answer that a test sets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A running server. It ends with the process.
pub struct Hooks {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    status: Arc<AtomicU16>,
    delay: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
pub struct Heard {
    pub method: String,
    pub target: String,
    pub body: String,
}

impl Hooks {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(200));
        let delay = Arc::new(AtomicU64::new(0));
        let (kept, answer, wait) = (Arc::clone(&heard), Arc::clone(&status), Arc::clone(&delay));
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = read(&stream) else { continue };
                kept.lock().unwrap().push(request);
                thread::sleep(Duration::from_millis(wait.load(Ordering::SeqCst)));
                let status = answer.load(Ordering::SeqCst);
                // 0: close the connection without an answer
                if status > 0 {
                    let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                }
            }
        });
        Self { url, heard, status, delay }
    }

    /// Sets the status of later answers; 0 means no answer.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Sets the wait before later answers.
    pub fn wait(&self, milliseconds: u64) {
        self.delay.store(milliseconds, Ordering::SeqCst);
    }

    /// The requests since the last call, in order.
    pub fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    /// The JSON bodies since the last call.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let heard = self.heard();
        assert!(heard.iter().all(|heard| heard.method == "POST"), "{heard:?}");
        heard.iter().map(|heard| serde_json::from_str(&heard.body).unwrap()).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Heard> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Heard { method, target, body: String::from_utf8(body).ok()? })
}
