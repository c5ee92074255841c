//! The CA's answers to a rollover, or missing answers.

use super::*;

#[tokio::test]
async fn a_lost_answer_leads_to_the_key_that_the_ca_knows() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = ca.impatient(ns).await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        // The CA replaces the key; then it confirms nothing and answers nothing else.
        let deaf = Arc::new(AtomicBool::new(false));
        let hears = deaf.clone();
        ca.proxy.script(move |request| match request.path.as_str() {
            KEY_CHANGE => {
                hears.store(true, Ordering::SeqCst);
                Action::PassThenDrop
            }
            NEW_ACCOUNT if hears.load(Ordering::SeqCst) => oops(500),
            _ => Action::Pass,
        });
        ask_for_rollover(ns, "1").await?;
        ns.wait_condition("issuer/ca", "Ready", "False", SOON).await?;
        // Nothing is signed with a key that may be the wrong one.
        ns.apply(&certificate("web", &[&host(ns, "web")], "")).await?;
        let waits = |object: &Value| {
            condition(object, "Issuing").is_some_and(|(_, reason, _)| reason == "IssuerNotReady")
        };
        ns.wait("certificate/web", SOON, waits).await?;
        operator.restart().await?;
        ca.proxy.pass();
        let after = rolled_over(ns, &before).await?;
        assert_eq!(ca.account_of(&key(ns).await?).await?, after["uri"].as_str().map(path));
        issued(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, NEW_ORDER).len(), 1);
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1, "it was changed once");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_another_account_has_is_not_taken_for_ours() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let directory = ca.pebble.directory_url.clone();
        let (namespace, ca_pem) = (ns.name.clone(), ca.pebble.ca_pem.clone());
        // Somebody else registers the new key just before the CA receives the rollover.
        ca.proxy.script(move |request| {
            if request.path == KEY_CHANGE {
                let pem = read_at_once(&namespace, "tls.key.next");
                let (directory, ca_pem) = (directory.clone(), ca_pem.clone());
                let _ = std::thread::spawn(move || register_at_once(&directory, &ca_pem, &pem)).join();
            }
            Action::Pass
        });
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeRefused").await?;
        ensure!(message.contains("belongs to another account"), "{message}");
        let issuer = ns.get("issuer/ca").await?.context("no Issuer")?;
        assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True");
        assert_eq!(issuer["status"]["acme"]["keyThumbprint"], before["keyThumbprint"]);
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"], "that key is of no use");
        issue(ns, "web").await?;

        ca.proxy.pass();
        ask_for_rollover(ns, "2").await?;
        rolled_over(ns, &before).await?;
        issue(ns, "again").await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_says_yes_and_keeps_the_key_is_found_out() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        ca.proxy.script(|request| match request.path.as_str() {
            KEY_CHANGE => Action::Respond { status: 200, headers: Vec::new(), body: "{}".to_owned() },
            _ => Action::Pass,
        });
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeRefused").await?;
        assert_eq!(
            message,
            "The account key was not changed: the CA reported success, but kept the old key. The account keeps its current key"
        );
        assert_eq!(acme(ns).await?["keyThumbprint"], before["keyThumbprint"]);
        issue(ns, "web").await
    })
    .await
}

#[tokio::test]
async fn a_ca_that_does_not_change_keys_is_left_in_peace_and_issuing_goes_on() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let operator = Operator::builder(ns).start().await?;
        ca.ready(ns, "").await?;
        let before = acme(ns).await?;
        let problem = |status: u16, detail: &str| Action::Respond {
            status,
            headers: vec![("content-type", "application/problem+json".to_owned())],
            body: json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": detail }).to_string(),
        };
        let html = |status: u16| Action::Respond {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: "<html><body>Nothing here</body></html>".to_owned(),
        };
        type Answer = Box<dyn Fn() -> Action + Send + Sync>;
        let answers: [(&str, Answer, &str, &str); 6] = [
            ("404", Box::new(move || html(404)), "KeyChangeNotOffered", "answered HTTP 404 (text/html)"),
            (
                "501",
                Box::new(move || problem(501, "Not built")),
                "KeyChangeNotOffered",
                "Not built (urn:ietf",
            ),
            (
                "409",
                Box::new(move || problem(409, "Key is taken")),
                "KeyChangeRefused",
                "Key is taken (urn:ietf",
            ),
            ("500", Box::new(move || oops(500)), "CAUnavailable", "Oops (urn:ietf"),
            ("502", Box::new(move || html(502)), "CAUnavailable", "answered HTTP 502 (text/html)"),
            ("drop", Box::new(|| Action::Drop), "CAUnavailable", "cannot reach"),
        ];
        for (name, answer, reason, words) in answers {
            ca.proxy.forget();
            ca.proxy.script(move |request| if request.path == KEY_CHANGE { answer() } else { Action::Pass });
            ask_for_rollover(ns, name).await?;
            let said = |issuer: &Value| {
                condition(issuer, "KeyRollover")
                    .is_some_and(|(_, found, message)| found == reason && message.contains(words))
            };
            let issuer = ns.wait("issuer/ca", SOON, said).await.with_context(|| name.to_owned())?;
            let (_, _, message) = condition(&issuer, "KeyRollover").context("no condition")?;
            ensure!(message.ends_with("The account keeps its current key"), "{message}");
            assert_eq!(condition(&issuer, "Ready").context("no condition")?.0, "True", "{name}");
            let acme = &issuer["status"]["acme"];
            assert_eq!(acme["keyThumbprint"], before["keyThumbprint"], "{name}");
            let failed: jiff::Timestamp =
                acme["failedKeyRollover"]["time"].as_str().context("no time")?.parse()?;
            let again: jiff::Timestamp = acme["nextKeyRollover"].as_str().context("no time")?.parse()?;
            ensure!(again.duration_since(failed) >= jiff::SignedDuration::from_hours(1), "{name}: {acme}");
            issue(ns, &format!("after-{name}")).await?;
            assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1, "{name}");
        }
        // It is not retried early, not even after a restart.
        operator.restart().await?;
        issue(ns, "web").await?;
        assert_eq!(requests_to(&ca.proxy, KEY_CHANGE).len(), 1);

        // If it is no longer wanted, it is no longer reported.
        let none = json!({ "metadata": { "annotations": { (certwright_api::ANNOTATION_ROLLOVER): null } } });
        ns.patch("issuer/ca", none).await?;
        let quiet = |issuer: &Value| {
            condition(issuer, "KeyRollover").is_none()
                && issuer["status"]["acme"]["nextKeyRollover"].is_null()
        };
        ns.wait("issuer/ca", SOON, quiet).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_directory_without_key_change_is_said_so() -> Result<()> {
    TestNamespace::with("rollover", async |ns| {
        let ca = Ca::start(ns, steady()).await?;
        let _operator = Operator::builder(ns).start().await?;
        ca.proxy.script(|request| match request.path.as_str() {
            DIRECTORY => change_json(|directory| {
                directory.as_object_mut().map(|directory| directory.remove("keyChange"));
            }),
            _ => Action::Pass,
        });
        ca.ready(ns, "").await?;
        ask_for_rollover(ns, "1").await?;
        let message = not_rolled_over(ns, "KeyChangeNotOffered").await?;
        let expected = format!(
            "The account key was not changed: the CA at {} does not support key changes: its directory has no keyChange",
            ca.directory()
        );
        ensure!(message.starts_with(&expected), "{message}");
        assert_eq!(event(ns, "ca", "KeyChangeNotOffered").await?, ("Warning".to_owned(), message));
        let data = ns.api::<Secret>().get("ca-account-key").await?.data.context("no data")?;
        assert_eq!(Vec::from_iter(data.keys()), ["tls.key"], "no key is made for nothing");
        issue(ns, "web").await
    })
    .await
}

/// Registers a key, from a script that cannot wait.
fn register_at_once(directory: &str, ca_pem: &str, pem: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let key = PrivateKey::from_pem(pem.as_bytes())?;
        Account::register(&server(directory, ca_pem)?, key, &Registration::default()).await?;
        Ok(())
    })
}

fn oops(status: u16) -> Action {
    Action::Respond {
        status,
        headers: vec![("content-type", "application/problem+json".to_owned())],
        body: json!({ "type": "urn:ietf:params:acme:error:serverInternal", "detail": "Oops" }).to_string(),
    }
}
