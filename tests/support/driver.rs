//! The real window, driven through WebKitWebDriver.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::{Place, program, until};

/// An open window and the driver that moves it.
pub(crate) struct Window {
    client: Client,
    driver: Child,
}

impl Window {
    /// Opens the window on a place's data directory.
    pub(crate) async fn open(place: &Place) -> Self {
        assert!(
            std::env::var_os("DISPLAY").is_some(),
            "these tests open a window: run them by scripts/with-display.sh"
        );
        let port = free_port();
        let driver = Command::new("WebKitWebDriver")
            .arg(format!("--port={port}"))
            // The locale of minimal machines, in which `navigator.language` is no language tag.
            .env("LANG", "C")
            .env("LC_ALL", "C")
            .env("TAURI_AUTOMATION", "true")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("HIVEKEEPER_DATA_DIR", place.data())
            .env("HIVEKEEPER_EXPORT_DIR", place.path("exports"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("WebKitWebDriver is not installed: scripts/need.sh test");
        let mut wanted = Capabilities::new();
        let binary = program("hivekeeper-desktop");
        let options = json!({ "binary": binary, "args": [] });
        wanted.insert("webkitgtk:browserOptions".to_owned(), options);
        let client = until("the window", async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(wanted.clone());
            builder.connect(&format!("http://127.0.0.1:{port}")).await.ok()
        })
        .await;
        Self { client, driver }
    }

    /// The first element with this test id, once it is there.
    pub(crate) async fn find(&self, id: &str) -> Element {
        let selector = format!("[data-testid=\"{id}\"]");
        until(id, async || self.client.find(Locator::Css(&selector)).await.ok()).await
    }

    /// Clicks the first element with this test id, once it can be clicked.
    pub(crate) async fn click(&self, id: &str) {
        let selector = format!("[data-testid=\"{id}\"]:not(:disabled)");
        // The page may draw the element anew between finding and clicking it.
        until(&format!("a click on {id}"), async || {
            let found = self.client.find(Locator::Css(&selector)).await.ok()?;
            found.click().await.ok()
        })
        .await;
    }

    pub(crate) async fn write(&self, id: &str, text: &str) {
        let field = self.find(id).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Types into the page, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        self.client.find(Locator::Css("body")).await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Chooses the option of a select that begins with this text.
    pub(crate) async fn choose(&self, id: &str, label: &str) {
        let script = "const [id, label] = arguments;
            const select = document.querySelector(`[data-testid=\"${id}\"]`);
            const option = [...(select?.options ?? [])].find((o) => o.text.startsWith(label));
            if (!option) return false;
            select.value = option.value;
            select.dispatchEvent(new Event('change', { bubbles: true }));
            return true;";
        until(&format!("the option {label}"), async || {
            let args = vec![json!(id), json!(label)];
            let done = self.client.execute(script, args).await.ok()?;
            done.as_bool().filter(|done| *done)
        })
        .await;
    }

    /// Waits until an element with this test id has this attribute value.
    pub(crate) async fn until_attribute(&self, id: &str, name: &str, value: &str) {
        let selector = format!("[data-testid=\"{id}\"][{name}=\"{value}\"]");
        until(&selector, async || self.client.find(Locator::Css(&selector)).await.ok()).await;
    }

    /// Waits until the text of an element holds this one.
    ///
    /// The driver's own way to read a text does not get along with a page whose prototypes are
    /// frozen, as ours are.
    pub(crate) async fn until_text(&self, id: &str, text: &str) {
        let script = "const [id] = arguments;
            return document.querySelector(`[data-testid=\"${id}\"]`)?.textContent ?? null;";
        until(&format!("'{text}' in {id}"), async || {
            let shown = self.client.execute(script, vec![json!(id)]).await.ok()?;
            shown.as_str().filter(|shown| shown.contains(text)).map(drop)
        })
        .await;
    }

    /// Keeps a picture of the window beside the built programs, for people to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let directory = program("hivekeeper-desktop").with_file_name("window-pictures");
        std::fs::create_dir_all(&directory).unwrap();
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(directory.join(format!("{name}.png")), png).unwrap();
    }

    /// Closes the window.
    pub(crate) async fn close(mut self) {
        // A window whose program was killed cannot be asked any more.
        drop(self.client.clone().close().await);
        self.end();
    }

    fn end(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.end();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
