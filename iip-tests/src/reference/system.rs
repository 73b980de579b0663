//! The `/sys` paths, and the form of answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::channels::{Channel, Connection};
use super::counters::{ChannelState, time_unit};
use super::replies::{Reply, to_json};
use super::server::{Answer, Shared, lock};

pub(super) const DELETE_CHANNEL: &[u8] = b"/sys/delete_channel";

/// The data sent for what a handler returned.
pub(super) fn encode(answer: Answer) -> Vec<u8> {
    match answer {
        Ok(data) if data.is_empty() => Reply::no_response().to_bytes(),
        Ok(data) => data,
        Err(text) => Reply::failed(&text).to_bytes(),
    }
}

/// The answer on a path without a handler of the application.
pub(super) fn answer(connection: &Arc<Connection>, path: &[u8], data: &[u8]) -> Vec<u8> {
    let server = &connection.server;
    let of_path = String::from_utf8_lossy(path);
    match &*of_path {
        "/sys/new_channel" => match connection.grant() {
            Some(id) => Reply::granted(id),
            None => Reply::channel_limit(),
        }
        .to_bytes(),
        "/sys/server_count" => server.statistics.count.to_json(),
        "/sys/server_measure" => server.statistics.measure.to_json(),
        "/sys/path_count" => match server.routes.get(data) {
            Some(route) => route.statistics.count.to_json(),
            None => Reply::not_supported(&of_path).to_bytes(),
        },
        "/sys/path_measure" => match server.routes.get(data) {
            Some(route) => route.statistics.measure.to_json(),
            None => Reply::not_supported(&of_path).to_bytes(),
        },
        "/sys/statis" => statistics(server, data),
        "/sys/connection_statis" => connections(server),
        _ => Reply::no_handler().to_bytes(),
    }
}

fn statistics(server: &Shared, data: &[u8]) -> Vec<u8> {
    let unit = time_unit(data);
    let mut text = format!(
        "total count: {}\ntotal measure: \n{}\n-----------------------------------\n",
        server.statistics.count.text(),
        server.statistics.measure.text(unit),
    );
    for (path, route) in &server.routes {
        let path = String::from_utf8_lossy(path);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{path} count: {}\n{path} measure: \n{}\n\n",
            route.statistics.count.text(),
            route.statistics.measure.text(unit),
        );
    }
    text.into_bytes()
}

/// Every client, to whoever asks.
fn connections(server: &Shared) -> Vec<u8> {
    let connections = lock(&server.connections).clone();
    let mut texts = Vec::new();
    for (name, connection) in &connections {
        let channels = lock(&connection.channels);
        let state = |(id, channel): (&u32, &Channel)| {
            let state = ChannelState {
                receive_queue: channel.waiting(),
                count: &channel.count,
            };
            (id.to_string(), to_text(&state))
        };
        let states: BTreeMap<String, String> = channels.open.iter().map(state).collect();
        texts.push(format!(
            "{}:{{\"Channels\":{},\"WriteQueue\":{},\"Count\":{}}}",
            to_text(name),
            object(states.iter().map(|(id, state)| format!("\"{id}\":{state}"))),
            connection.outgoing.waiting(),
            connection.count.text(),
        ));
    }
    object(texts.into_iter()).into_bytes()
}

fn to_text(value: &impl serde::Serialize) -> String {
    String::from_utf8_lossy(&to_json(value)).into_owned()
}

fn object(fields: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
