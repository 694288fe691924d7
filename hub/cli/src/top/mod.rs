//! `muster top`: the fleet, live, on the whole screen.
//!
//! ```text
//! keys, the hub's stream, waves, alerts --Message--> Top::update (pure) --> draw (pure)
//!                                                        '--Effect--> a question to the hub, the end
//! ```

mod draw;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::time::Duration;

use jiff::Timestamp;
use muster_wire::v1::{DecideRequest, DecisionVerb};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::state::{Effect, Message, Top};
use crate::connect::Reach;
use crate::failure::Failure;
use crate::hub::Hub;

/// How often the screen is drawn, at most, and how often it is without news, for ages to grow.
const FRAME: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_secs(1);
/// How often waves and alerts are asked for.
const ASK: Duration = Duration::from_secs(2);
/// Wait before the hub is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Messages on their way.
const MESSAGES_MAX: usize = 1_024;

/// Runs until the person has seen enough, or the hub cannot be asked at all.
pub(crate) async fn run(reach: Reach, timeout: Duration, colour: bool) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::NoTerminal);
    }
    // What is wrong with the configuration is told before the screen is taken.
    let hub = Hub::connect(reach.clone(), timeout).await?;
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let (sender, mut messages) = mpsc::channel(MESSAGES_MAX);
    // Restores the terminal also when it panics.
    let mut terminal = ratatui::try_init()?;
    let keys = sender.clone();
    std::thread::spawn(move || read_keys(&keys));
    let following = tokio::spawn(follow(hub, reach.clone(), timeout, sender.clone()));
    let mut top = Top::default();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        if let Err(error) = terminal.draw(|frame| draw::draw(&top, frame, Timestamp::now(), colour)) {
            break Err(Failure::Output(error));
        }
        let [terminate, hangup] = &mut ends;
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = tick.tick() => continue,
            _ = terminate.recv() => break Ok(()),
            _ = hangup.recv() => break Ok(()),
        };
        let mut effect = message.map_or(Effect::Quit, |message| top.update(message, Timestamp::now()));
        // What comes together is drawn together.
        let drawn_by = tokio::time::Instant::now() + FRAME;
        while effect == Effect::Nothing && tokio::time::Instant::now() < drawn_by {
            let Ok(message) = messages.try_recv() else { break };
            effect = top.update(message, Timestamp::now());
        }
        match effect {
            Effect::Nothing => {}
            Effect::Quit => break Ok(()),
            Effect::Approve { track, wave } => {
                tokio::spawn(approve((track, wave), reach.clone(), timeout, sender.clone()));
            }
        }
    };
    following.abort();
    ratatui::restore();
    result
}

/// Reads keys until nobody listens.
fn read_keys(sender: &mpsc::Sender<Message>) {
    while let Ok(event) = event::read() {
        let message = match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => continue,
            // The terminal is in raw mode, so this is no signal.
            Event::Key(key)
                if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) =>
            {
                Message::Key(KeyCode::Char('q'))
            }
            Event::Key(key) => Message::Key(key.code),
            // The next frame has the new size; a key that means nothing draws one.
            Event::Resize(..) => Message::Key(KeyCode::Null),
            _ => continue,
        };
        if sender.blocking_send(message).is_err() {
            return;
        }
    }
}

/// Follows the hub, and comes back when the connection is lost.
async fn follow(mut hub: Hub, reach: Reach, timeout: Duration, sender: mpsc::Sender<Message>) {
    loop {
        let failure = stream(&mut hub, &sender).await;
        let Some(failure) = failure else { return };
        if sender.send(Message::Lost(failure.to_string())).await.is_err() {
            return;
        }
        hub = loop {
            sleep(RETRY).await;
            match Hub::connect(reach.clone(), timeout).await {
                Ok(hub) => break hub,
                Err(failure) => {
                    if sender.send(Message::Lost(failure.to_string())).await.is_err() {
                        return;
                    }
                }
            }
        };
    }
}

/// One stream up to its end; `None` when nobody listens any more.
async fn stream(hub: &mut Hub, sender: &mpsc::Sender<Message>) -> Option<Failure> {
    let mut stream = match hub.watch(None, "").await {
        Ok(stream) => stream,
        Err(failure) => return Some(failure),
    };
    sender.send(Message::Begun).await.ok()?;
    let mut ask = interval(ASK);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = stream.message() => match message {
                // A message of a later protocol says nothing this version could show.
                Ok(Some(message)) => {
                    if let Some(told) = message.change {
                        sender.send(Message::Told(Box::new(told))).await.ok()?;
                    }
                }
                Ok(None) => return Some(hub.failed(&tonic::Status::unavailable("the hub ended the stream"))),
                Err(status) => return Some(hub.failed(&status)),
            },
            _ = ask.tick() => {
                let waves = hub.waves(None).await.map_err(|failure| failure.to_string());
                sender.send(Message::Waves(waves)).await.ok()?;
                // Who may not see alerts sees none.
                let (alerts, _) = hub.alerts(false).await.unwrap_or_default();
                sender.send(Message::Alerts(alerts)).await.ok()?;
            }
        }
    }
}

async fn approve(
    (track, wave): (String, String),
    reach: Reach,
    timeout: Duration,
    sender: mpsc::Sender<Message>,
) {
    let verb = DecisionVerb::Approve.into();
    let request = DecideRequest { verb, track, wave, ..DecideRequest::default() };
    let decided = async {
        let mut hub = Hub::connect(reach, timeout).await?;
        hub.decide(request).await
    };
    let decided = decided.await;
    let said = decided.map(|decided| decided.subject).map_err(|failure| failure.to_string());
    let _ = sender.send(Message::Decided(said)).await; // the screen is gone
}
