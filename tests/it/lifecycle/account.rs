//! The life of the account.

use super::*;

impl Life<'_> {
    /// A wrong MAC key is rejected. The registration shows that the right one is accepted.
    pub(super) async fn external_account(&self) -> Result<Outcome> {
        let name = self.name("wrong");
        self.proxy.forget();
        self.apply_issuer(&name, &binding("wrong-eab")).await?;
        let settled = |object: &Value| {
            let ready = condition(object, "Ready").is_some_and(|(status, ..)| status == "True");
            ready || object["status"]["failedAttempts"] == 1
        };
        let settled = self.ns.wait(&format!("issuer/{name}"), SOON, settled).await?;
        let (status, _, message) = condition(&settled, "Ready").context("no condition")?;
        println!("{}: {message}", self.ca.title);
        let sent = self.overheard.those(|said| said.path == path(&self.directory.new_account));
        ensure!(
            sent.last().is_some_and(|said| !said.payload["externalAccountBinding"].is_null()),
            "no binding was sent: {sent:?}"
        );
        if status != "True" {
            self.refused(&self.directory.new_account, &message, &["unauthorized"])?;
            return Ok(Outcome::Yes);
        }
        self.answered(&self.directory.new_account, 201)?;
        ensure!(!self.directory.meta.external_account_required, "the CA's directory wants a binding");
        Ok(Outcome::No("is not looked at".to_owned()))
    }

    pub(super) async fn register(&self) -> Result<Outcome> {
        let more = format!("    email: one@example.com\n{}", binding("eab"));
        let issuer = self.apply_issuer(&self.name("ca"), &more).await?;
        let issuer = self.ready(&issuer).await?;
        ensure!(issuer["status"]["acme"]["boundKeyID"] == KEY_ID, "{}", issuer["status"]);
        self.answered(&self.directory.new_account, 201)?;
        Ok(Outcome::Yes)
    }

    pub(super) async fn change_contact(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let object = format!("issuer/{name}");
        self.ns.patch(&object, json!({ "spec": { "acme": { "email": "two@example.com" } } })).await?;
        let told = |object: &Value| object["status"]["acme"]["lastRegisteredEmail"] == "two@example.com";
        self.ns.wait(&object, SOON, told).await?;
        let known = Account::look_up(&server(self.ca)?, self.account_key(&name).await?).await?;
        let contact = known.context("the account is gone")?.state.contact;
        ensure!(contact == ["mailto:two@example.com"], "the CA has {contact:?}");
        Ok(Outcome::Yes)
    }

    /// Another issuer with the same private key and no MAC key finds the same account.
    pub(super) async fn look_up(&self) -> Result<Outcome> {
        let of = self.ns.get(&format!("issuer/{}", self.name("ca"))).await?.context("no issuer")?;
        let key = self.account_key(&self.name("ca")).await?.to_pem(KeyEncoding::Pkcs8)?;
        let found = self.name("found");
        let copy = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": found }, "stringData": { "tls.key": *key },
        });
        self.ns.apply(&copy.to_string()).await?;
        let more = format!("    email: two@example.com\n    privateKeySecretRef: {{ name: {found} }}\n");
        let issuer = self.apply_issuer(&found, &more).await?;
        let issuer = self.ready(&issuer).await?;
        ensure!(issuer["status"]["acme"]["uri"] == of["status"]["acme"]["uri"], "{}", issuer["status"]);
        Ok(Outcome::Yes)
    }

    /// The next key of the account is rolled over at the CA, and can issue.
    pub(super) async fn roll_over(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let before = self.account_key(&name).await?;
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/rollover-account-key": "now" } } });
        self.proxy.forget();
        self.ns.patch(&format!("issuer/{name}"), ask).await?;
        let said = |object: &Value| condition(object, "KeyRollover");
        let object = self.ns.wait(&format!("issuer/{name}"), SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&object).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let after = self.account_key(&name).await?;
        let server = server(self.ca)?;
        let outcome = match (status.as_str(), &self.directory.key_change) {
            ("True", Some(url)) => {
                self.answered(url, 200)?;
                ensure!(Account::look_up(&server, before).await?.is_none(), "the CA knows the old key");
                let account = &object["status"]["acme"]["uri"];
                let known =
                    Account::look_up(&server, after).await?.context("the CA does not know the new key")?;
                ensure!(
                    account.as_str().map(path) == Some(path(known.account.url())),
                    "it is the key of {}, not of {account}",
                    known.account.url()
                );
                Outcome::Yes
            }
            (_, Some(url)) => {
                // RFC 8555 has no type for that, and CAs use any.
                self.answered(url, 501)?;
                ensure!(reason == "KeyChangeNotOffered", "{reason}: {message}");
                ensure!(jwk_thumbprint(&before) == jwk_thumbprint(&after), "the key is lost");
                ensure!(
                    Account::look_up(&server, before).await?.is_some(),
                    "the CA does not know the key any more"
                );
                Outcome::No(words(&message))
            }
            (_, None) => Outcome::No("is not offered".to_owned()),
        };
        self.apply_certificate(&self.name("rolled"), &name).await?;
        issued(self.ns, &self.name("rolled")).await?;
        Ok(outcome)
    }

    /// The account is deactivated.
    pub(super) async fn deactivate(&self) -> Result<Outcome> {
        let name = self.name("ca");
        let object = format!("issuer/{name}");
        let account = self.ns.get(&object).await?.context("no issuer")?["status"]["acme"]["uri"].clone();
        let ask = json!({ "metadata": { "annotations": { "certwright.dev/deactivate-account": account } } });
        self.proxy.forget();
        self.ns.patch(&object, ask).await?;
        let said = |object: &Value| condition(object, "AccountDeactivated");
        let ended = self.ns.wait(&object, SOON, |object| said(object).is_some()).await?;
        let (status, reason, message) = said(&ended).unwrap_or_default();
        println!("{}: {reason}: {message}", self.ca.title);
        let url = account.as_str().context("no account")?;
        if status != "True" {
            self.refused(url, &message, &["unauthorized"])?;
            return Ok(Outcome::No(words(&message)));
        }
        self.answered(url, 200)?;
        // According to RFC 8555 section 7.3.6, its requests are rejected from now on. Some CAs return such an account, and
        // some do not.
        match Account::look_up(&server(self.ca)?, self.account_key(&name).await?).await {
            Ok(None) => {}
            Ok(Some(known)) => ensure!(known.state.status == AccountStatus::Deactivated, "{:?}", known.state),
            Err(error) => {
                println!("{}: {error}", self.ca.title);
                ensure!(
                    ["unauthorized", "accountDoesNotExist"].contains(&error.code()),
                    "the CA was asked for it: {error}"
                );
            }
        }
        Ok(Outcome::Yes)
    }
}
