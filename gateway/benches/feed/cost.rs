//! Deliveries per core-second of server time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::crowd::{Crowd, Size};
use super::figures::{grouped, load_average, median, write};
use super::plan::Plan;
use super::server::{Server, Turn};

/// Updates of the turn before the first, which nobody looks at.
const WARM_UP_UPDATES: usize = 20;

pub(crate) async fn measure(plan: &Plan) {
    let mut servers = vec![Server::gateway().await, Server::raw(plan.clients).await];
    if plan.nchan {
        match Server::nchan().await {
            Some(nchan) => servers.push(nchan),
            None => println!(
                "nchan is not here: apt-get install --no-install-recommends nginx libnginx-mod-nchan"
            ),
        }
    }
    let mut crowds = Vec::new();
    for server in &servers {
        crowds.push(Crowd::connect(server, Size::readers(plan.clients)).await);
    }
    let mut messages = Vec::new();
    for (server, crowd) in servers.iter_mut().zip(&mut crowds) {
        server.turn(crowd, WARM_UP_UPDATES, plan.rate, &mut messages).await;
    }
    let bytes = messages.iter().map(Vec::len).sum::<usize>() / messages.len();
    println!(
        "deliveries per core-second of server time: {} clients of one room, {} updates/s of {bytes} bytes, {:?} a turn",
        grouped(plan.clients as f64),
        plan.rate,
        plan.time
    );
    println!("load average at the start: {}", load_average());
    println!("{}", header(&servers));
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let mut turns = Vec::new();
        for (server, crowd) in servers.iter_mut().zip(&mut crowds) {
            turns.push(server.turn(crowd, plan.updates(), plan.rate, &mut messages).await);
        }
        println!("{}", line(&turns));
        rounds.push(turns);
    }
    write(plan.json.as_deref(), &report(&servers, &rounds));
    for crowd in crowds {
        crowd.end().await;
    }
    for server in servers {
        server.end().await;
    }
}

impl Turn {
    fn per_core_second(&self) -> f64 {
        self.deliveries as f64 / self.server.as_secs_f64()
    }
}

fn header(servers: &[Server]) -> String {
    let mut line = String::from(" ");
    for server in servers {
        let _ = write!(line, "{:>10}", server.name());
    }
    for server in servers.iter().skip(1) {
        let _ = write!(line, "{:>15}", format!("gateway/{}", server.name()));
    }
    line + "   its clients, % of a core"
}

fn line(turns: &[Turn]) -> String {
    let mut line = String::from(" ");
    for turn in turns {
        let _ = write!(line, "{:>10}", grouped(turn.per_core_second()));
    }
    for turn in turns.iter().skip(1) {
        let _ = write!(line, "{:>15.2}", turns[0].per_core_second() / turn.per_core_second());
    }
    line += "   ";
    for turn in turns {
        // Near 100 the clients, not the server, set the pace.
        let _ = write!(line, "{:>6.0}", 100.0 * turn.clients.as_secs_f64() / turn.time.as_secs_f64());
    }
    line
}

fn report(servers: &[Server], rounds: &[Vec<Turn>]) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let middle = |of: &dyn Fn(&[Turn]) -> f64| median(rounds.iter().map(|turns| of(turns)).collect());
    println!("median of {} rounds:", rounds.len());
    for (place, server) in servers.iter().enumerate() {
        let speed = middle(&|turns| turns[place].per_core_second());
        println!(
            "  {:<8} {:>10} deliveries a core-second, {:.2} µs each",
            server.name(),
            grouped(speed),
            1e6 / speed
        );
        figures.insert(format!("{}_per_core_second", server.name()), speed);
    }
    for (place, server) in servers.iter().enumerate().skip(1) {
        let ratio = middle(&|turns| turns[0].per_core_second() / turns[place].per_core_second());
        println!("  gateway/{:<8} {ratio:.2}", server.name());
        figures.insert(format!("ratio_to_{}", server.name()), ratio);
    }
    figures
}
