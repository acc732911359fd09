//! Descriptions in files: each does what the builder does, and a mistake names file, key and fix.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jwt_refresh::{
    Authenticator, ClientAuth, ErrorKind, HttpAuthenticator, HttpAuthenticatorBuilder, RefreshToken, Tokens,
};
use jwt_refresh_testkit::Answer;
use serde_json::json;

use crate::server::{Seen, Server};

/// A variable that cargo sets for tests, and its value.
const SET: &str = "CARGO_PKG_NAME";
const VALUE: &str = env!("CARGO_PKG_NAME");

fn toml(text: &str) -> HttpAuthenticatorBuilder {
    HttpAuthenticator::from_toml(text).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/servers");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn each_example_is_a_description_of_under_twenty_lines() {
    let files = examples();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.lines().count() < 20, "{}", file.display());
        HttpAuthenticator::from_file(&file).unwrap().build().unwrap();
    }
}

/// What an authenticator sends for a login, a refresh and a revocation. Refusals end the login.
async fn exchanges(server: &Server, api: &HttpAuthenticator) -> Vec<(String, String, Vec<String>, String)> {
    let lifetime = api.login().await.ok().and_then(|tokens| tokens.lifetime());
    let refresh = RefreshToken::from("r-1");
    let _ = api.refresh(&refresh).await;
    let _ = api.revoke(&refresh).await;
    let sent = |seen: Seen| {
        let headers = ["authorization", "content-type", "accept"].map(|name| seen.header(name).to_owned());
        // A file does not say in which order the fields of a form are sent.
        let mut fields: Vec<&str> = seen.body().split('&').collect();
        fields.sort_unstable();
        (
            seen.method().to_owned(),
            seen.path().to_owned(),
            headers.to_vec(),
            format!("{} {lifetime:?}", fields.join("&")),
        )
    };
    server.seen().into_iter().map(sent).collect()
}

/// The description in an example, with the server's URL and with these secrets in it.
fn example(server: &Server, name: &str, url: &str, secrets: &[(&str, &str)]) -> HttpAuthenticator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/servers").join(name);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in [(url, server.url("").as_str())].iter().chain(secrets) {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    toml(&text).build().unwrap()
}

#[tokio::test]
async fn each_preset_is_a_file_that_sends_the_same() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a", "refresh_token": "r"})));
    let (id, service) = ("https://id.example", "https://api.example");
    let token = server.url("/token");
    let password = [(r#"{ env = "API_PASSWORD" }"#, r#""pässword""#)];
    let client = ClientAuth::basic("catalog", "s:1");
    for (file, preset) in [
        (
            example(&server, "client_credentials.toml", id, &[(r#"{ env = "CLIENT_SECRET" }"#, r#""s:1""#)]),
            HttpAuthenticator::client_credentials(&token, client).field("scope", "read"),
        ),
        (
            example(&server, "password_grant.toml", id, &password),
            HttpAuthenticator::password_grant(&token, "ada", "pässword"),
        ),
        (example(&server, "refresh_grant.toml", id, &[]), HttpAuthenticator::refresh_grant(&token)),
        (
            example(&server, "email_and_password.toml", service, &password),
            HttpAuthenticator::email_and_password(
                server.url("/api/auth/login"),
                server.url("/api/auth/refresh"),
                "ada@example.com",
                "pässword",
            ),
        ),
        (
            example(
                &server,
                "key_and_secret.toml",
                service,
                &[(r#"{ env = "API_KEY" }"#, r#""k""#), (r#"{ env = "API_SECRET" }"#, r#""s""#)],
            ),
            HttpAuthenticator::key_and_secret(server.url("/api/token"), "k", "s"),
        ),
    ] {
        let by_preset = exchanges(&server, &preset.build().unwrap()).await;
        assert!(!by_preset.is_empty());
        assert_eq!(exchanges(&server, &file).await, by_preset);
    }
}

/// Everything that a description can say, with the URL in place of `URL`.
const EVERYTHING: &str = r#"
base_url = "URL/v1/"
allow_plain_http = true
secret.password = "S3cret {x}"

[[login]]
method = "get"
url = "challenge"
capture = { id = "data.id", sid = "cookie:sid" }

[[login]]
url = "/login/{id}"
json = { id = "{id}", user = { name = "ada", password = "{password}" }, remember = true, tags = [1, "x"] }
headers = { x-api-version = 2 }
cookies = { sid = "{sid}" }
basic_auth = { user = "gate", password = "{password}" }
capture = { csrf = "header:X-Csrf" }

[refresh]
method = "PUT"
url = "URL/other/renew"
form = { grant_type = "refresh_token", token = "{refresh_token}", n = 1, ok = true }
headers = { x-csrf = "{csrf}" }
rules = [{ means = "later", status = 418 }, { means = "dead", status = [200, 299], values = { code = 4011 } }]

[revoke]
method = "DELETE"
url = "sessions/{refresh_token}"

[answer]
access_token = "data.jwt"
refresh_token = "cookie:refresh"
expires_in = { place = "data.ttl", unit = "ms" }
refresh_expires_in = "data.refresh_ttl"

[refresh_answer]
access_token = "jwt"
expires_in = false
lives_for = 90
"#;

fn everything(request: &Seen, _: usize) -> Answer {
    match (request.method(), request.path()) {
        ("GET", "/v1/challenge") => Answer::from(json!({"data": {"id": 7}})).header("set-cookie", "sid=s; Path=/"),
        ("POST", "/v1/login/7") => Answer::from(json!({"data": {"jwt": "a1", "ttl": 60_000, "refresh_ttl": 600}}))
            .header("set-cookie", "refresh=r1; HttpOnly")
            .header("x-csrf", "c1"),
        ("PUT", "/other/renew") if request.body().contains("dead") => Answer::from(json!({"code": "4011"})),
        ("PUT", "/other/renew") if request.body().contains("busy") => Answer::new(418),
        ("PUT", "/other/renew") => {
            Answer::from(json!({"jwt": "a2", "expires_in": 5})).header("set-cookie", "refresh=r2")
        }
        _ => Answer::new(204),
    }
}

async fn check_everything(server: &Server, api: HttpAuthenticator) {
    let tokens = api.login().await.unwrap();
    assert_eq!((tokens.access().expose(), tokens.lifetime()), ("a1", Some(Duration::from_secs(60))));
    assert_eq!(tokens.refresh_lifetime(), Some(Duration::from_secs(600)));
    let renewed = api.refresh(tokens.refresh().unwrap()).await.unwrap();
    assert_eq!((renewed.access().expose(), renewed.lifetime()), ("a2", Some(Duration::from_secs(90))));
    api.revoke(renewed.refresh().unwrap()).await.unwrap();
    let refresh = |token: &str| RefreshToken::from(json!({"refresh_token": token, "csrf": "c1"}).to_string());
    assert_eq!(api.refresh(&refresh("dead")).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(api.refresh(&refresh("busy")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let seen = server.seen();
    let login = &seen[1];
    let body = json!({"id": 7, "user": {"name": "ada", "password": "S3cret {x}"}, "remember": true, "tags": [1, "x"]});
    assert_eq!((login.json(), login.header("x-api-version"), login.header("cookie")), (body, "2", "sid=s"));
    assert!(login.header("authorization").starts_with("Basic "), "{login:?}");
    let form = [("grant_type", "refresh_token"), ("n", "1"), ("ok", "true"), ("token", "r1")];
    assert_eq!(seen[2].form(), form.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((seen[2].header("x-csrf"), seen[3].path()), ("c1", "/v1/sessions/r2"));
}

#[tokio::test]
async fn a_file_can_say_all_that_the_builder_can() {
    let server = Server::start(everything);
    check_everything(&server, toml(&EVERYTHING.replace("URL", &server.url(""))).build().unwrap()).await;
}

#[tokio::test]
async fn json_says_the_same_as_toml() {
    let server = Server::start(everything);
    let table: toml::Table = EVERYTHING.replace("URL", &server.url("")).parse().unwrap();
    let text = serde_json::to_string(&table).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.JSON"), text).unwrap();
    let api = HttpAuthenticator::from_file(folder.path().join("api.JSON")).unwrap().build().unwrap();
    check_everything(&server, api).await;
}

#[tokio::test]
async fn a_secret_comes_from_the_environment_or_from_a_file_beside_the_description() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a"})));
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[login]\nurl = \"{}\"\nform = {{ a = \"{{from_env}}\", b = \"{{from_file}}\" }}\n\
         [secret]\nfrom_env = {{ env = \"{SET}\" }}\nfrom_file = {{ file = \"password\" }}\n",
        server.url("/login")
    );
    std::fs::write(folder.path().join("api.toml"), text).unwrap();
    let api = HttpAuthenticator::from_file(folder.path().join("api.toml")).unwrap().build().unwrap();
    std::fs::write(folder.path().join("password"), "p-1\n").unwrap();
    api.login().await.unwrap();
    std::fs::write(folder.path().join("password"), "p-2\n").unwrap();
    api.login().await.unwrap();
    let bodies: Vec<String> = server.seen().into_iter().map(|seen| seen.body().to_owned()).collect();
    assert_eq!(bodies, [format!("a={VALUE}&b=p-1"), format!("a={VALUE}&b=p-2")]);
}

#[tokio::test]
async fn a_variable_that_is_set_replaces_a_value_and_one_that_is_not_leaves_it() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a"})));
    let text = format!(
        "base_url = \"{}\"\n[[login]]\nurl = \"/login\"\njson = {{ user = \"ada\", realm = \"r\" }}\n\
         [env]\nlogin.1.json.user = \"{SET}\"\nlogin.1.json.realm = \"JWT_REFRESH_TEST_UNSET\"\n",
        server.url("")
    );
    toml(&text).build().unwrap().login().await.unwrap();
    assert_eq!(server.seen()[0].json(), json!({"user": VALUE, "realm": "r"}));
}

const LOGIN: &str = "[login]\nurl = \"https://api.example/login\"\n";

/// A description with a mistake, the key that the error names, and what it says to do. `S3cret`
/// must not be in it.
type Mistake = (String, &'static str, &'static str);

fn login(rest: &str) -> String {
    format!("{LOGIN}{rest}")
}

fn top(rest: &str) -> String {
    format!("{rest}\n{LOGIN}")
}

fn mistakes_in_requests() -> Vec<Mistake> {
    vec![
        (login("jsn = { password = \"S3cret\" }"), "`login.jsn`", "there are `url`, `method`, `json`"),
        ("[login]\njson = {}".into(), "`login.url`", "this is missing; write where the request goes"),
        ("[login]\nurl = \"\"".into(), "`login.url`", "the URL is missing; write where"),
        ("[login]\nurl = \"/login\"".into(), "`login.url`", "not a URL"),
        ("[login]\nurl = \"http://api.example/x\"".into(), "`login.url`", "use https"),
        ("[login]\nurl = 7".into(), "`login.url`", "this is a number, and not a string"),
        (String::new(), "`login`", "neither a login nor a refresh"),
        ("login = \"https://S3cret.example\"".into(), "`login`", "this is a string, and not a table"),
        (login("capture = { id = \"data[0]\" }"), "`login.capture.id`", "`data.0.token`"),
        (login("json = { p = \"{password}\" }"), "`login.json.p`", "`{password}` is unknown; there are none, `secret`"),
        (login("json = \"p=S3cret\""), "`login.json`", "`form` for a form"),
        (
            login("form = { user = { p = \"S3cret\" } }"),
            "`login.form.user`",
            "write `json` where the server takes JSON",
        ),
        (login("form = \"p=S3cret\""), "`login.form`", "write a table"),
        (login("json = { a = 1 }\nform = { p = \"S3cret\" }"), "`login.form.p`", "use one of the two"),
        (login("method = \"GET\"\nform = { p = \"S3cret\" }"), "`login.method`", "a GET has no body"),
        (login("headers = { x = [\"S3cret\"] }"), "`login.headers.x`", "this is a list, and not text"),
        (login("basic_auth = { user = \"u\" }"), "`login.basic_auth.password`", "this is missing"),
        (login("rules = [{ means = \"ok\", status = 200 }]"), "`login.rules.1.means`", "`in_doubt`"),
        (login("rules = [{ means = \"dead\" }]"), "`login.rules.1.status`", "`status = 200`"),
        (login("rules = [{ means = \"dead\", status = \"4xx\" }]"), "`login.rules.1.status`", "[400, 499]"),
        (login("[[refresh]]\nurl = \"https://api.example/r\""), "`refresh`", "write a table"),
        (login("[refresh]\nurl = \"https://api.example/r\""), "`refresh`", "send `{refresh_token}`"),
    ]
}

fn mistakes_elsewhere() -> Vec<Mistake> {
    vec![
        (top("pasword = \"S3cret\""), "`pasword`", "this key is unknown; there are `base_url`,"),
        (login("[answer]\ntoken = \"t\""), "`answer.token`", "`access_token`"),
        (login("[answer]\naccess_token = \"$.data\""), "`answer.access_token`", "`data.0.token`"),
        (login("[answer]\nexpires_in = \"a..b\""), "`answer.expires_in`", "single dots"),
        (login("[answer]\nexpires_in = { place = \"t\", unit = \"min\" }"), "`answer.expires_in.unit`", "`s` or `ms`"),
        (login("[answer]\nexpires_in = 3600"), "`answer.expires_in`", "write a string or"),
        (login("[answer]\nlives_for = \"1h\""), "`answer.lives_for`", "a number of seconds"),
        (login("[secret]\np = { env = \"A\", file = \"b\" }"), "`secret.p`", "comes from one place"),
        (login("[secret]\np = { enviroment = \"A\" }"), "`secret.p.enviroment`", "there are `env`, `file`"),
        (login("[secret]\np = { keyring = { service = \"s\" } }"), "`secret.p.keyring.user`", "this is missing"),
        (login("[secret]\np = 7"), "`secret.p`", "write a string, `{ env = \"NAME\" }`"),
        (login("[secret]\nrefresh_token = \"S3cret\""), "`secret.refresh_token`", "choose another"),
        (top("client_auth = { id = \"c\" }"), "`client_auth.method`", "`basic`, `in_body` or `public`"),
        (top("client_auth = { id = \"c\", method = \"jwt\" }"), "`client_auth.method`", "unknown"),
        (top("client_auth = { id = \"c\", method = \"basic\" }"), "`client_auth.secret`", "this is missing"),
        (
            top("client_auth = { id = \"c\", method = \"public\", secret = \"S3cret\" }"),
            "`client_auth.secret`",
            "no secret",
        ),
        (login("[env]\nbase_url = \"X\""), "`env.base_url`", "there is no `base_url` to replace"),
        (login("[env]\nlogin = \"X\""), "`env.login`", "name one of the values in it"),
        (login("[env]\nlogin.url = 7"), "`env.login.url`", "the name of an environment variable"),
        (
            format!("allow_plain_http = true\n{LOGIN}[env]\nallow_plain_http = \"{SET}\""),
            "`env.allow_plain_http`",
            "is not a bool",
        ),
        (login("secret = \"S3cret"), "line 3", "correct it there"),
        (login("url = \"https://S3cret.example\""), "line 3", "no key comes twice"),
    ]
}

#[test]
fn a_mistake_in_a_file_names_the_file_the_key_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.toml");
    for (text, key, fix) in mistakes_in_requests().into_iter().chain(mistakes_elsewhere()) {
        std::fs::write(&path, &text).unwrap();
        let error = HttpAuthenticator::from_file(&path).and_then(HttpAuthenticatorBuilder::build).expect_err(&text);
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::Configuration, "{shown}");
        assert!(shown.contains("catalog.toml") && shown.contains(key) && shown.contains(fix), "{text}: {shown}");
        assert!(!shown.contains("S3cret"), "{shown}");
    }
}

#[test]
fn a_file_that_is_not_there_or_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.json"), "{\"login\": \"S3cret\",}").unwrap();
    std::fs::write(folder.path().join("api.yaml"), "login: S3cret").unwrap();
    for (name, fix) in
        [("gone.toml", "cannot be read"), ("api.json", "line 1, column"), ("api.yaml", "`.toml` or `.json`")]
    {
        let error = HttpAuthenticator::from_file(folder.path().join(name)).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(name) && shown.contains(fix) && !shown.contains("S3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.toml");
    for (source, what) in [
        ("{ env = \"JWT_REFRESH_TEST_UNSET\" }", "the environment variable `JWT_REFRESH_TEST_UNSET`: it is not set"),
        ("{ file = \"gone\" }", "gone"),
    ] {
        std::fs::write(&path, format!("{LOGIN}json = {{ p = \"{{key}}\" }}\n[secret]\nkey = {source}\n")).unwrap();
        let api = HttpAuthenticator::from_file(&path).unwrap().build().unwrap();
        for error in [api.check_secrets().await.unwrap_err(), api.login().await.map(drop::<Tokens>).unwrap_err()] {
            let shown = error.to_string();
            assert_eq!(error.kind(), ErrorKind::SecretUnavailable, "{shown}");
            assert!(
                ["catalog.toml", "`key`", what, "provide the secret"].iter().all(|part| shown.contains(part)),
                "{shown}"
            );
        }
    }
}

#[test]
fn no_secret_of_a_file_is_printed() {
    let builder = toml(&EVERYTHING.replace("URL", "https://api.example"));
    let shown = format!("{builder:?}");
    let api = builder.build().unwrap();
    assert!(!format!("{shown} {api:?} {api:#?}").contains("S3cret"), "{shown} {api:?}");
}

#[tokio::test]
async fn a_url_in_the_query_of_a_path_does_not_hide_the_base_url() {
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a"})));
    let text = format!("base_url = \"{}\"\n[login]\nurl = \"/login?next=https://x.example\"\n", server.url(""));
    toml(&text).build().unwrap().login().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen[0].path(), seen[0].query("next")), ("/login", "https://x.example"));
}

#[tokio::test]
async fn a_variable_that_is_empty_leaves_the_value_as_one_that_is_not_set_does() {
    // Cargo sets it for every test.
    const EMPTY: &str = "CARGO_PKG_VERSION_PRE";
    assert_eq!(std::env::var(EMPTY).as_deref(), Ok(""));
    let server = Server::start(|_, _| Answer::from(json!({"access_token": "a"})));
    let text = format!("base_url = \"{}\"\n[login]\nurl = \"/login\"\n[env]\nbase_url = \"{EMPTY}\"\n", server.url(""));
    toml(&text).build().unwrap().login().await.unwrap();
    assert_eq!(server.seen()[0].path(), "/login");
}
