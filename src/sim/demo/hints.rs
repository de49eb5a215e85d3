//! What is said before and after the table.

use std::path::Path;

use super::table::Screen;
use super::{Site, engines};

/// Who is there.
pub(super) fn opening(screen: &mut Screen, site: &Site) {
    screen.title(
        "Tollgate",
        &format!(
            "on http://{}, in front of {} simulated engines",
            site.listen,
            site.engines.len()
        ),
    );
    for (index, speed) in engines::speeds(&site.engines).enumerate() {
        screen.line(&format!(
            "  {}  {}  {:>3.0} % of the speed",
            engines::name(index),
            site.engines[index].0,
            speed * 100.0
        ));
    }
}

/// How to go on by hand.
pub(super) fn closing(screen: &mut Screen, site: &Site, log: &Path) {
    let Site { listen, admin, .. } = site;
    screen.title("Try it", "Tollgate keeps serving until Ctrl-C");
    screen.line(&format!(
        r#"
  curl -i http://{listen}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "demo", "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'

  curl -iN http://{listen}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "demo", "stream": true, "messages": [{{"role": "user", "content": "What is rain?"}}]}}'"#
    ));
    screen.title("From Python", "pip install openai");
    screen.line(&format!(
        r#"
  from openai import OpenAI
  client = OpenAI(base_url="http://{listen}/v1", api_key="unused")
  question = [{{"role": "user", "content": "How could I change my password?"}}]
  for chunk in client.chat.completions.create(model="demo", messages=question, stream=True):
      print(chunk.choices[0].delta.content or "", end="", flush=True)"#
    ));
    screen.title("Look inside", "");
    screen.line(&format!(
        "
  curl http://{admin}/metrics          # Prometheus
  curl http://{admin}/api/v1/status    # peers, load, health, caches, the live configuration
  tail -f {}
",
        log.display()
    ));
}
