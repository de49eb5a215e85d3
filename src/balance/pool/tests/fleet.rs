//! The whole engine over a fleet of unequal servers in small steps of time: does counting tokens pay?

use super::*;

const STEP: Duration = Duration::from_millis(20);
/// Prompt tokens that a server of weight 1 works off in a step.
const PREFILL: f64 = 160.0;
/// What an output token costs in prompt tokens.
const OUTPUT_COST: f64 = 4.0;

struct Request {
    arrived: Instant,
    text_bytes: u64,
    prompt: u64,
    prompt_left: f64,
    output: u64,
    sent: u64,
    lease: Lease,
}

/// A server that streams to all whose prompt is done and spends the rest of a step on prompts, in order of arrival.
#[derive(Default)]
struct Server {
    requests: Vec<Request>,
}

impl Server {
    fn step(&mut self, pool: &Pool, speed: f64, now: Instant, first_token: &mut Vec<f64>) {
        let mut budget = PREFILL * speed;
        for request in self.requests.iter_mut().filter(|r| r.prompt_left <= 0.0) {
            request.sent += 1;
            request.lease.progress(request.sent, now);
            budget -= OUTPUT_COST;
        }
        for request in self.requests.iter_mut().filter(|r| r.prompt_left > 0.0) {
            let done = request.prompt_left.min(budget.max(0.0));
            request.prompt_left -= done;
            budget -= done;
            if request.prompt_left <= 0.0 {
                let _ = request.lease.first_byte(now);
                first_token.push((now - request.arrived).as_secs_f64());
            }
        }
        for mut done in self.requests.extract_if(.., |r| r.sent >= r.output) {
            let _ = pool.report(&mut done.lease, Outcome::Succeeded, now);
            pool.estimator()
                .learn("m", done.text_bytes, 0, done.prompt, done.output, now);
        }
    }
}

/// Heavy-tailed sizes: most requests small, a few very large.
fn size(rng: &mut fastrand::Rng, scale: f64, most: f64) -> u64 {
    (scale * (1.0 - rng.f64()).powf(-0.8)).min(most) as u64
}

/// Time to first token, 99th percentile in seconds.
fn ttft_p99(balance: model::Balance, seed: u64) -> f64 {
    let mut rng = fastrand::Rng::with_seed(seed);
    fastrand::seed(seed);
    let start = Instant::now();
    let speeds = [1.0, 1.0, 0.5, 0.5];
    let mut peers = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(peer);
    for (peer, speed) in peers.iter_mut().zip(speeds) {
        peer.weight = speed;
    }
    let mut config = config(&peers);
    config.balance = balance;
    let pool = Pool::new(&config, silent(), start);
    let mut servers: [Server; 4] = Default::default();
    let mut first_token = Vec::new();
    for step in 0..15_000u32 {
        let now = start + step * STEP;
        if rng.f64() < 0.14 {
            let prompt = size(&mut rng, 400.0, 16_000.0);
            let text_bytes = prompt * 5;
            let estimated = pool.estimator().prompt_tokens("m", text_bytes, 0);
            let demand = Demand {
                prompt_tokens: estimated,
                output_tokens: pool.estimator().output_tokens("m", estimated, None),
                client_hash: 0,
            };
            let Pick::Lease(lease) = pool.pick(&demand, &[], now) else {
                panic!("no lease");
            };
            let index = peers
                .iter()
                .position(|peer| addr(&peer.host) == lease.addr())
                .unwrap();
            servers[index].requests.push(Request {
                arrived: now,
                text_bytes,
                prompt,
                prompt_left: prompt as f64,
                output: size(&mut rng, 40.0, 1000.0),
                sent: 0,
                lease,
            });
        }
        for (server, speed) in servers.iter_mut().zip(speeds) {
            server.step(&pool, speed, now, &mut first_token);
        }
    }
    drop(servers);
    assert_eq!(pool.totals(), Totals::default());
    assert!(first_token.len() > 1500);
    first_token.sort_by(f64::total_cmp);
    first_token[first_token.len() * 99 / 100]
}

#[test]
fn counting_tokens_shortens_the_tail_of_the_first_token() {
    for seed in [1, 2, 3] {
        let tokens = ttft_p99(model::Balance::LeastTokens, seed);
        let requests = ttft_p99(model::Balance::LeastRequests, seed);
        let rotation = ttft_p99(model::Balance::RoundRobin, seed);
        assert!(tokens < 0.9 * requests, "{tokens} {requests}");
        assert!(tokens < 0.7 * rotation, "{tokens} {rotation}");
    }
}
