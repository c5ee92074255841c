//! What the API rejects about an issuer's account, and with which messages.

use crate::common::api::is_refused;
use anyhow::Result;
use certwright_cluster::TestNamespace;

#[tokio::test]
async fn an_account_that_cannot_be_is_refused_with_a_sentence() -> Result<()> {
    TestNamespace::with("api", async |ns| {
        let secret = "keySecretRef: { name: eab }";
        let cases = [
            ("emails: [you]".to_owned(), "'you' is not an email address, such as you@example.com"),
            (
                "emails: ['mailto:you@example.com']".to_owned(),
                "'mailto:you@example.com' is not an email address",
            ),
            ("emails: ['a@example.com, b@example.com']".to_owned(), "is not an email address"),
            ("emails: ['']".to_owned(), "'' is not an email address"),
            ("emails: [a@example.com, a@example.com]".to_owned(), "Duplicate value: \"a@example.com\""),
            (
                format!("externalAccountBinding: {{ {secret} }}"),
                "externalAccountBinding: set either keyID or keyIDSecretRef",
            ),
            (
                format!("externalAccountBinding: {{ keyID: a, keyIDSecretRef: {{ name: b }}, {secret} }}"),
                "externalAccountBinding: set either keyID or keyIDSecretRef",
            ),
            (
                format!("externalAccountBinding: {{ keyID: '', {secret} }}"),
                "spec.acme.externalAccountBinding.keyID",
            ),
            (
                format!("externalAccountBinding: {{ keyIDSecretRef: {{ name: A_B }}, {secret} }}"),
                "keyIDSecretRef.name: must consist of lower-case letters, digits, '-' and '.'",
            ),
            (
                format!("externalAccountBinding: {{ keyIDSecretRef: {{ name: a, key: b/c }}, {secret} }}"),
                "keyIDSecretRef.key: must consist of letters, digits, '-', '_' and '.'",
            ),
            (
                "accountPolicy: { onDelete: Delete }".to_owned(),
                "supported values: \"Retain\", \"Deactivate\"",
            ),
            (
                "accountPolicy: { deactivationTimeout: 1d }".to_owned(),
                "spec.acme.accountPolicy.deactivationTimeout",
            ),
        ];
        for (fields, sentence) in cases {
            is_refused(ns, &issuer(&fields), sentence).await?;
        }
        assert!(ns.get("issuer/a").await?.is_none(), "nothing of it was stored");
        Ok(())
    })
    .await
}

fn issuer(fields: &str) -> String {
    format!(
        "apiVersion: certwright.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: a }}\nspec: {{ acme: {{ server: \
         'https://ca.example/dir', {fields} }} }}"
    )
}
