//! Requests of taps, one by one and many at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

use crate::crowd::Crowd;
use crate::message::{Accepted, Many, Problem};
use crate::scenario::Tap;

/// Sends one reaction by itself.
pub(crate) async fn single(crowd: Arc<Crowd>, tap: Tap) {
    let path = format!("/v1/rooms/{}/reactions", crowd.names[tap.room]);
    let body = crowd.body(&tap, None, false);
    crowd.meters.lag.record(crowd.now().saturating_sub(tap.due));
    match crowd.pool.post(&path, body).await {
        Ok((StatusCode::OK, answer)) => {
            crowd.meters.single.record(crowd.now().saturating_sub(tap.due));
            crowd.acked(&tap);
            if let Ok(accepted) = serde_json::from_slice::<Accepted>(&answer) {
                crowd.books[tap.room].sample(accepted.offset, tap.due);
            }
        }
        Ok((status, answer)) => refused(&crowd, &[tap], status, &answer),
        Err(error) => crowd.unknown(&tap, error.to_string()),
    }
}

/// Sends many, due together.
pub(crate) async fn batch(crowd: Arc<Crowd>, due: Duration, taps: Vec<Tap>) {
    let items: Vec<String> = taps.iter().map(|tap| crowd.body(tap, None, true)).collect();
    crowd.meters.lag.record(crowd.now().saturating_sub(due));
    match crowd.pool.post("/v1/reactions", format!("[{}]", items.join(","))).await {
        Ok((StatusCode::OK, answer)) => {
            let Ok(many) = serde_json::from_slice::<Many<'_>>(&answer) else {
                return taps.iter().for_each(|tap| crowd.unknown(tap, "an answer that is none".to_owned()));
            };
            let mut rejected = many.rejected.iter().peekable();
            let mut accepted = 0;
            for (index, tap) in taps.iter().enumerate() {
                match rejected.next_if(|item| item.index == index) {
                    None => {
                        accepted += 1;
                        crowd.acked(tap);
                    }
                    Some(item) if item.problem.status >= 500 => crowd.unknown(tap, item.problem.name()),
                    Some(item) => crowd.refused(tap, item.problem.name()),
                }
            }
            crowd.meters.batch.record_many(crowd.now().saturating_sub(due), accepted);
        }
        Ok((status, answer)) => refused(&crowd, &taps, status, &answer),
        Err(error) => {
            let why = error.to_string();
            taps.iter().for_each(|tap| crowd.unknown(tap, why.clone()));
        }
    }
}

fn refused(crowd: &Crowd, taps: &[Tap], status: StatusCode, answer: &Bytes) {
    let why = name(status, answer);
    for tap in taps {
        if status.is_server_error() {
            crowd.unknown(tap, why.clone());
        } else {
            crowd.refused(tap, why.clone());
        }
    }
}

/// What an answer says, for a table.
pub(crate) fn name(status: StatusCode, answer: &[u8]) -> String {
    match serde_json::from_slice::<Problem<'_>>(answer) {
        Ok(problem) => problem.name(),
        Err(_) => status.as_u16().to_string(),
    }
}
