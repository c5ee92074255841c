// lego-dns adds and removes TXT records with lego's DNS providers, so that tests can compare what others do.
//
// Usage: lego-dns PROVIDER DOMAIN NAMESERVER. Each line of the standard input is `present` or `cleanup` and a key authorization.
// Each is answered by a line: `ok`, or `error: ` and why.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/providers/dns/cloudflare"
	"github.com/go-acme/lego/v5/providers/dns/digitalocean"
	"github.com/go-acme/lego/v5/providers/dns/dnsupdate"
	"github.com/go-acme/lego/v5/providers/dns/gandiv5"
	"github.com/go-acme/lego/v5/providers/dns/gcloud"
	"github.com/go-acme/lego/v5/providers/dns/hetzner"
	"github.com/go-acme/lego/v5/providers/dns/ovh"
	"github.com/go-acme/lego/v5/providers/dns/pdns"
	"github.com/go-acme/lego/v5/providers/dns/porkbun"
	"github.com/go-acme/lego/v5/providers/dns/route53"
	"github.com/go-acme/lego/v5/providers/dns/scaleway"
	"github.com/go-acme/lego/v5/providers/dns/vultr"
)

func provider(name string) (challenge.Provider, error) {
	switch name {
	case "cloudflare":
		return cloudflare.NewDNSProvider()
	case "digitalocean":
		return digitalocean.NewDNSProvider()
	case "gandiv5":
		return gandiv5.NewDNSProvider()
	case "gcloud":
		return gcloud.NewDNSProvider()
	case "hetzner":
		return hetzner.NewDNSProvider()
	case "ovh":
		return ovh.NewDNSProvider()
	case "pdns":
		return pdns.NewDNSProvider()
	case "porkbun":
		return porkbun.NewDNSProvider()
	case "dnsupdate":
		return dnsupdate.NewDNSProvider()
	case "route53":
		return route53.NewDNSProvider()
	case "scaleway":
		return scaleway.NewDNSProvider()
	case "vultr":
		return vultr.NewDNSProvider()
	}
	return nil, fmt.Errorf("no provider %s", name)
}

func main() {
	name, domain, nameserver := os.Args[1], os.Args[2], os.Args[3]
	options := dns01.NewOptions()
	options.RecursiveNameservers = []string{nameserver}
	dns01.SetDefaultClient(dns01.NewClient(options))
	p, err := provider(name)
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		action, key, _ := strings.Cut(lines.Text(), " ")
		if action == "present" {
			err = p.Present(context.Background(), domain, key, key)
		} else {
			err = p.CleanUp(context.Background(), domain, key, key)
		}
		if err != nil {
			fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
