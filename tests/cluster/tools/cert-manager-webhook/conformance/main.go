// cert-manager's conformance suite for DNS webhooks. It starts a control plane of its own, for the Secrets of its namespaces; here
// the Secrets are in the tests' cluster, and so is the webhook, which is called through the API server.
//
// GROUP_NAME and SOLVER name the webhook, NAMESPACE is where its Secrets are, CONFIG is its configuration, ZONE a zone, and DNS_SERVER
// the server that has it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/acme/webhook/apis/acme/v1alpha1"
	dns "github.com/cert-manager/cert-manager/test/acme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type solver struct {
	server string
	client *http.Client
}

func (*solver) Name() string { return os.Getenv("SOLVER") }

func (s *solver) Present(challenge *v1alpha1.ChallengeRequest) error {
	return s.call(v1alpha1.ChallengeActionPresent, challenge)
}

func (s *solver) CleanUp(challenge *v1alpha1.ChallengeRequest) error {
	return s.call(v1alpha1.ChallengeActionCleanUp, challenge)
}

func (s *solver) Initialize(*rest.Config, <-chan struct{}) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	s.server = config.Host
	s.client, err = rest.HTTPClientFor(config)
	return err
}

func (s *solver) call(action v1alpha1.ChallengeAction, challenge *v1alpha1.ChallengeRequest) error {
	request := *challenge
	request.UID = "conformance"
	request.Type = "dns-01"
	request.Action = action
	request.ResourceNamespace = os.Getenv("NAMESPACE")
	payload := v1alpha1.ChallengePayload{
		TypeMeta: metav1.TypeMeta{APIVersion: "webhook.acme.cert-manager.io/v1alpha1", Kind: "ChallengePayload"},
		Request:  &request,
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/apis/%s/v1alpha1/%s", s.server, os.Getenv("GROUP_NAME"), s.Name())
	answer, err := s.client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var answered v1alpha1.ChallengePayload
	if err := json.Unmarshal(said, &answered); err != nil || answered.Response == nil {
		return fmt.Errorf("%s: %s", answer.Status, said)
	}
	if !answered.Response.Success {
		return fmt.Errorf("%s", answered.Response.Result.Message)
	}
	return nil
}

func conformance(t *testing.T) {
	fixture := dns.NewFixture(&solver{},
		dns.SetResolvedZone(os.Getenv("ZONE")),
		dns.SetDNSServer(os.Getenv("DNS_SERVER")),
		dns.SetUseAuthoritative(false),
		dns.SetConfig(json.RawMessage(os.Getenv("CONFIG"))),
		dns.SetStrict(true),
		dns.SetPollInterval(50*time.Millisecond),
		dns.SetPropagationLimit(20*time.Second),
	)
	fixture.RunConformance(t)
}

func main() {
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "TestConformance", F: conformance}}, nil, nil)
}
