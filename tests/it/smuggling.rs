//! Requests that two readers would take for different ones are refused, or reach the peer as exactly one.
//!
//! Each is followed on the same connection by a well-formed request, whose place shows whether bytes of one were taken
//! for another. The peer reads strictly and keeps all it gets, also what it cannot read.

mod judge;
mod lab;
mod malformed;
mod mutations;

use lab::{Case, Lab};
use malformed::{lawful_cases, unlawful_cases};
use mutations::mutations;

async fn holds(title: &str, cases: Vec<Case>) {
    let wrong = Lab::start().await.run(title, cases).await;
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_of_transfer_encoding_is_refused_or_arrives_as_exactly_one_request() {
    let Some(cases) = mutations() else { return };
    assert!(cases.len() >= 1000, "only {} mutations", cases.len());
    holds("mutations", cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn well_formed_requests_arrive_as_they_were_sent() {
    holds("well-formed requests", lawful_cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_or_arrive_as_exactly_one_request() {
    holds("malformed requests", unlawful_cases()).await;
}
