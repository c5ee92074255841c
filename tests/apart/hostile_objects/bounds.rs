//! The bounds of the definitions, and those of the operator's own types.

use super::*;

#[tokio::test]
async fn the_api_server_refuses_what_is_beyond_the_bounds() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    TestNamespace::with("bounds", async |ns| {
        for (kind, field, path) in DURATIONS {
            let refused = create(ns, kind, "absurd", absurd(kind, field), "?dryRun=All").await;
            let words = refused.err().with_context(|| format!("{path}: {ABSURD} is taken"))?.to_string();
            ensure!(words.contains(path), "{path}: {words}");
        }
        let of = |timeout: &str| {
            let webhook = json!({ "groupName": "acme.test", "solverName": "dns" });
            with_solver(json!({ "webhook": webhook, "cleanupTimeout": timeout }))
        };
        create(ns, "Issuer", "hour", of("1h0m0s"), "?dryRun=All").await?;
        let refused = create(ns, "Issuer", "hour", of("1h0m1s"), "?dryRun=All").await;
        let words = refused.err().context("1h0m1s is taken")?.to_string();
        ensure!(words.contains("must be a duration from 0s to 1h"), "{words}");
        Ok(())
    })
    .await
}

/// The operator's own types have the same bounds as the definitions, or wider ones: the operator can read whatever the API server
/// accepts, except for what a schema cannot bound.
#[tokio::test]
async fn what_the_api_server_takes_is_read() -> Result<()> {
    let _alone = crate::ALONE.lock().await;
    TestNamespace::with("taken", async |ns| {
        let certificate = json!({ "secretName": "a", "dnsNames": ["a.test"], "issuerRef": { "name": "ca" } });
        let issuer = with_solver(json!({ "webhook": { "groupName": "acme.test", "solverName": "dns" } }));
        taken_is_read::<Certificate>(ns, "certificates", &certificate, "").await?;
        taken_is_read::<Issuer>(ns, "issuers", &issuer, "/acme").await
    })
    .await
}

async fn taken_is_read<K: Readable>(ns: &TestNamespace, plural: &str, base: &Value, at: &str) -> Result<()> {
    const TRIES: usize = 200;
    let fields = schema::fields(plural, at);
    let mut runner = TestRunner::default();
    let mut taken = 0;
    for _ in 0..TRIES {
        let (name, value) = fields.new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?.current();
        let mut spec = base.clone();
        spec.pointer_mut(at).context("no such place")?[&name] = value.clone();
        let Ok(answer) = create(ns, &K::kind(&()), "any", spec, "?dryRun=All").await else { continue };
        taken += 1;
        let reading: Reading<K> = serde_json::from_str(&answer)?;
        let unbounded = |words: &str| words.contains("levels deep") || words.contains("characters of JSON");
        let fault = reading.fault.filter(|fault| !unbounded(&fault.words));
        ensure!(fault.is_none(), "{name}: {value} is taken, and not read: {fault:?}");
    }
    eprintln!("the API server took {taken} of {TRIES} {plural}");
    ensure!(taken > TRIES / 10, "it took {taken} of {TRIES}");
    Ok(())
}
