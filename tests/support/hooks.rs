//! A webhook server that keeps every request and sends the answer that a test sets.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::exchange::{Asked, Exchange, Reply};

/// A running server. It ends with the process.
pub struct Hooks {
    pub url: String,
    heard: Arc<Mutex<Vec<Asked>>>,
    status: Arc<AtomicU16>,
    delay: Arc<AtomicU64>,
}

impl Hooks {
    pub fn start() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(200));
        let delay = Arc::new(AtomicU64::new(0));
        let (kept, answer, wait) = (Arc::clone(&heard), Arc::clone(&status), Arc::clone(&delay));
        let server = Exchange::start(move |asked, _| {
            kept.lock().unwrap().push(asked.clone());
            thread::sleep(Duration::from_millis(wait.load(Ordering::SeqCst)));
            match answer.load(Ordering::SeqCst) {
                // close the connection without an answer
                0 => Reply::Raw(vec![]),
                status => Reply::Say(status, vec![], vec![]),
            }
        });
        Self { url: server.url, heard, status, delay }
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
    pub fn heard(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    /// The JSON bodies since the last call.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let heard = self.heard();
        assert!(heard.iter().all(|heard| heard.method == "POST"), "{heard:?}");
        heard.iter().map(|heard| serde_json::from_str(&heard.body).unwrap()).collect()
    }
}
