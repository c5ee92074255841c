// A provider of DNS-01 records as others write them: a webhook with cert-manager's library and its RFC 2136 solver.
package main

import (
	"os"

	"github.com/cert-manager/cert-manager/pkg/acme/webhook/cmd"
	"github.com/cert-manager/cert-manager/pkg/issuer/acme/dns/rfc2136"
)

func main() {
	// API groups are cluster-wide, so each test has its own; the Secrets are in its namespace.
	solver := rfc2136.New(rfc2136.WithNamespace(os.Getenv("NAMESPACE")))
	cmd.RunWebhookServer(os.Getenv("GROUP_NAME"), solver)
}
