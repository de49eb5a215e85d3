//! Engines in processes of their own, which are killed and started again.

use std::net::SocketAddr;
use std::process::{Child, Stdio};

use crate::support::gate::binary;
use crate::support::{client, free_address, until};

/// A running engine; ends with the test.
pub(super) struct Mortal {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Mortal {
    pub(super) async fn start() -> Self {
        let address = free_address();
        let mut mortal = Self {
            address,
            child: spawn(address),
        };
        mortal.answers().await;
        mortal
    }

    /// Ends it in the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("ends");
    }

    /// Starts it again where it was.
    pub(super) async fn revive(&mut self) {
        self.child = spawn(self.address);
        self.answers().await;
    }

    async fn answers(&mut self) {
        until("an engine answers", || {
            // Somebody's outgoing connection may have had its port for a moment.
            if self.child.try_wait().expect("waits").is_some() {
                self.child = spawn(self.address);
            }
            let address = self.address;
            async move { client::get(address, "/health").await.is_ok() }
        })
        .await;
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: SocketAddr) -> Child {
    binary()
        .args(["sim", "--time-scale", "10", "--listen"])
        .arg(address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}
