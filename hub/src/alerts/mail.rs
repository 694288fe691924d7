//! How is a message sent by mail?

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Letter, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::message::Message;

/// How a mail server is reached, and who writes to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSettings {
    /// Its name, which its certificate is for.
    pub server: String,
    /// Where it listens.
    pub port: u16,
    /// How the way there is kept private.
    pub tls: MailTls,
    /// Who logs in, with the secret of the receiver; nobody without.
    pub user: Option<String>,
    /// Who writes.
    pub from: Mailbox,
    /// To whom.
    pub to: Vec<Mailbox>,
}

/// How the way to a mail server is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// By STARTTLS, which the server has to offer.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all; on loopback only.
    None,
}

impl MailTls {
    /// Where a server listens for it.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// Sends a message to all of them.
///
/// # Errors
/// Why the server did not take it.
pub(super) async fn send(
    settings: &MailSettings,
    secret: Option<&[u8]>,
    message: &Message,
    dashboard: Option<&str>,
) -> Result<(), String> {
    let letter = letter(settings, message, dashboard)?;
    let parameters = || TlsParameters::new(settings.server.clone()).map_err(|error| error.to_string());
    let tls = match settings.tls {
        MailTls::Starttls => Tls::Required(parameters()?),
        MailTls::Tls => Tls::Wrapper(parameters()?),
        MailTls::None => Tls::None,
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.server)
        .port(settings.port)
        .tls(tls)
        .timeout(Some(super::deliver::PATIENCE));
    if let (Some(user), Some(secret)) = (&settings.user, secret) {
        let password = String::from_utf8_lossy(secret).into_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    transport.build().send(letter).await.map(drop).map_err(|error| error.to_string())
}

fn letter(settings: &MailSettings, message: &Message, dashboard: Option<&str>) -> Result<Letter, String> {
    let (lines, next, link) = message.body(dashboard);
    let mut text = format!("{}\n\n{}\n", message.title(), lines.join("\n"));
    let escaped = |text: &str| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let paragraphs: Vec<_> = lines.iter().map(|line| format!("<p>{}</p>", escaped(line))).collect();
    let mut html = format!("<h3>{}</h3>\n{}\n", escaped(&message.title()), paragraphs.join("\n"));
    if let Some(next) = &next {
        text.push_str(&format!("\n    {next}\n"));
        html.push_str(&format!("<pre>{}</pre>\n", escaped(next)));
    }
    if let Some(link) = &link {
        text.push_str(&format!("\n{link}\n"));
        html.push_str(&format!("<p><a href=\"{}\">Dashboard</a></p>\n", escaped(link)));
    }
    let mut letter = Letter::builder()
        .from(settings.from.clone())
        // The same letter has the same id however often it is sent.
        .message_id(Some(format!("<{}@muster-hub>", message.id)))
        .subject(format!("[{}] {}", message.severity().word(), message.title()));
    for to in &settings.to {
        letter = letter.to(to.clone());
    }
    let parts = MultiPart::alternative_plain_html(text, html);
    letter.multipart(parts).map_err(|error| error.to_string())
}
