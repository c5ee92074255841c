// cert-manager's own controllers for ACME, without the parts around them (leader election, webhook, metrics): its program
// is a module that no proxy serves, and its controllers are a library.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	"github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	// It registers itself as an issuer.
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
)

var controllers = []string{
	issuers.ControllerName, clusterissuers.ControllerName, trigger.ControllerName, keymanager.ControllerName,
	requestmanager.ControllerName, issuing.ControllerName, readiness.ControllerName, revisionmanager.ControllerName,
	acme.CRControllerName, approver.ControllerName, acmeorders.ControllerName, acmechallenges.ControllerName,
}

func main() {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(stop); err != nil {
		log.Fatal(err)
	}
}

// run runs the controllers in NAMESPACE, which is also where the Secrets of ClusterIssuers are.
func run(ctx context.Context) error {
	var options controller.ContextOptions
	options.Kubeconfig = os.Getenv("KUBECONFIG")
	options.KubernetesAPIQPS, options.KubernetesAPIBurst = 100, 200
	options.Namespace = os.Getenv("NAMESPACE")
	options.ClusterResourceNamespace = os.Getenv("CLUSTER_RESOURCE_NAMESPACE")
	// It does not run on a node.
	options.HTTP01SolverImage = "solver.example.test/none"
	options.DNS01Nameservers = strings.Split(os.Getenv("NAMESERVERS"), ",")
	options.DNS01CheckRetryPeriod = time.Second
	options.EnableOwnerRef = os.Getenv("ENABLE_OWNER_REF") == "true"
	options.CertificateRequestMinimumBackoffDuration = time.Hour
	options.CertificateRequestMaximumBackoffDuration = 32 * time.Hour
	options.MaxConcurrentChallenges = 60
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	ended := make(chan error, len(controllers))
	for _, name := range controllers {
		built, err := controller.Known()[name](factory)
		if err != nil {
			return err
		}
		go func() { ended <- built.Run(2, ctx) }()
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	log.Print("running")
	for range controllers {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}
