// Pebble with pre-authorization (RFC 8555 section 7.4.1), and, if wanted, authorizations that cover subdomains (RFC 9444).
//
// The authorizations, their challenges and their validation are Pebble's own. This adds a resource that creates them outside of an
// order, and makes every order reuse the ones that are valid.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/letsencrypt/pebble/v2/acme"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/cmd"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

const newAuthzPath = "/new-authz"

type config struct {
	Pebble struct {
		ListenAddress           string
		ManagementListenAddress string
		HTTPPort                int
		TLSPort                 int
		Certificate             string
		PrivateKey              string
		CAAIdentities           []string
		Profiles                map[string]ca.Profile
		// Whether authorizations that cover subdomains are known (RFC 9444).
		SubdomainAuthAllowed bool
		// Whether a valid authorization covers subdomains, without a word about that.
		SubdomainsCovered bool
		// How long a valid authorization stays valid, in seconds.
		AuthorizationLifetime int
	}
}

// authorization is one that was requested ahead of an order.
type authorization struct {
	*core.Authorization
	subdomains bool
	expires    bool
}

type server struct {
	config  config
	db      *db.MemoryStore
	pebble  http.Handler
	mutex   sync.Mutex
	created map[string]*authorization
}

func main() {
	configFile := flag.String("config", "", "File path to the configuration file")
	resolver := flag.String("dnsserver", "", "A DNS server")
	flag.Parse()
	logger := log.New(os.Stdout, "Pebble ", log.LstdFlags)
	var c config
	cmd.FailOnError(cmd.ReadConfigFile(*configFile, &c), "Reading the configuration")
	profiles := c.Pebble.Profiles
	if len(profiles) == 0 {
		profiles = map[string]ca.Profile{"default": {Description: "The default profile"}}
	}
	store := db.NewMemoryStore()
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	validation := va.New(logger, c.Pebble.HTTPPort, c.Pebble.TLSPort, false, *resolver, store)
	front := wfe.New(logger, store, validation, issuer, c.Pebble.CAAIdentities, false, false, 3, 3)
	s := &server{config: c, db: store, pebble: front.Handler(), created: map[string]*authorization{}}
	go func() {
		cmd.FailOnError(http.ListenAndServeTLS(c.Pebble.ManagementListenAddress, c.Pebble.Certificate,
			c.Pebble.PrivateKey, front.ManagementHandler()), "Serving the management interface")
	}()
	cmd.FailOnError(http.ListenAndServeTLS(c.Pebble.ListenAddress, c.Pebble.Certificate, c.Pebble.PrivateKey, s), "Serving")
}

func (s *server) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	s.limitLifetimes()
	switch {
	case request.URL.Path == wfe.DirectoryPath:
		s.directory(response, request)
	case request.URL.Path == newAuthzPath && request.Method == http.MethodPost:
		s.newAuthz(response, request)
	case strings.HasPrefix(request.URL.Path, "/authZ/"):
		s.authz(response, request)
	case request.URL.Path == "/order-plz":
		s.newOrder(response, request)
	default:
		s.pebble.ServeHTTP(response, request)
	}
}

// directory adds the resource to Pebble's directory.
func (s *server) directory(response http.ResponseWriter, request *http.Request) {
	s.edited(response, request, func(directory map[string]any) {
		directory["newAuthz"] = s.url(request, newAuthzPath)
		if meta, ok := directory["meta"].(map[string]any); ok && s.config.Pebble.SubdomainAuthAllowed {
			meta["subdomainAuthAllowed"] = true
		}
	})
}

// authz adds to an authorization whether it covers subdomains.
func (s *server) authz(response http.ResponseWriter, request *http.Request) {
	s.mutex.Lock()
	created := s.created[strings.TrimPrefix(request.URL.Path, "/authZ/")]
	s.mutex.Unlock()
	s.edited(response, request, func(answer map[string]any) {
		if created != nil && created.subdomains {
			answer["subdomainAuthAllowed"] = true
		}
	})
}

// edited answers with Pebble's answer after a change.
func (s *server) edited(response http.ResponseWriter, request *http.Request, change func(map[string]any)) {
	recorder := httptest.NewRecorder()
	s.pebble.ServeHTTP(recorder, request)
	body := recorder.Body.Bytes()
	var object map[string]any
	if recorder.Code == http.StatusOK && json.Unmarshal(body, &object) == nil {
		change(object)
		body, _ = json.Marshal(object)
	}
	for name, values := range recorder.Header() {
		if name != "Content-Length" {
			response.Header()[name] = values
		}
	}
	response.WriteHeader(recorder.Code)
	_, _ = response.Write(body)
}

func (s *server) newAuthz(response http.ResponseWriter, request *http.Request) {
	account, payload, err := s.verified(request)
	s.nonce(response, request)
	if err != nil {
		problem(response, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	var asked struct {
		Identifier struct {
			Type                 string
			Value                string
			SubdomainAuthAllowed bool
		}
	}
	if err := json.Unmarshal(payload, &asked); err != nil || asked.Identifier.Type != "dns" {
		problem(response, http.StatusBadRequest, "malformed", "the payload has no DNS identifier")
		return
	}
	if strings.HasPrefix(asked.Identifier.Value, "*.") {
		problem(response, http.StatusForbidden, "unsupportedIdentifier", "wildcards cannot be authorized ahead of an order")
		return
	}
	subdomains := asked.Identifier.SubdomainAuthAllowed
	if subdomains && !s.config.Pebble.SubdomainAuthAllowed {
		problem(response, http.StatusBadRequest, "malformed", "subdomainAuthAllowed is not a field of an identifier")
		return
	}
	expires := time.Now().Add(time.Hour).UTC()
	identifier := acme.Identifier{Type: "dns", Value: asked.Identifier.Value}
	// Pebble knows no authorization without an order. Nobody ever sees this one.
	order := &core.Order{ID: token(), AccountID: account.ID, ExpiresDate: expires}
	authz := &core.Authorization{
		ID: token(), ExpiresDate: expires, Order: order,
		Authorization: acme.Authorization{
			Status: acme.StatusPending, Identifier: identifier, Expires: expires.Format(time.RFC3339),
		},
	}
	authz.URL = s.url(request, "/authZ/"+authz.ID)
	id := token()
	challenge := &core.Challenge{ID: id, Authz: authz, Challenge: acme.Challenge{
		Type: acme.ChallengeDNS01, Token: token(), URL: s.url(request, "/chalZ/"+id), Status: acme.StatusPending,
	}}
	authz.Challenges = []*core.Challenge{challenge}
	if _, err := s.db.AddChallenge(challenge); err != nil {
		problem(response, http.StatusInternalServerError, "serverInternal", err.Error())
		return
	}
	if _, err := s.db.AddAuthorization(authz); err != nil {
		problem(response, http.StatusInternalServerError, "serverInternal", err.Error())
		return
	}
	s.mutex.Lock()
	s.created[authz.ID] = &authorization{Authorization: authz, subdomains: subdomains}
	s.mutex.Unlock()
	answer := map[string]any{
		"status": acme.StatusPending, "identifier": identifier, "expires": authz.Expires,
		"challenges": []acme.Challenge{challenge.Challenge},
	}
	if subdomains {
		answer["subdomainAuthAllowed"] = true
	}
	response.Header().Set("Location", authz.URL)
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(response).Encode(answer)
}

// newOrder creates valid authorizations for subdomains that are covered, which Pebble then reuses.
func (s *server) newOrder(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		problem(response, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	request.Body = io.NopCloser(strings.NewReader(string(body)))
	if account, payload, err := s.verifiedBody(body); err == nil {
		var asked struct {
			Identifiers []struct{ Type, Value, AncestorDomain string }
		}
		if json.Unmarshal(payload, &asked) == nil {
			for _, identifier := range asked.Identifiers {
				s.cover(account, identifier.Value, identifier.AncestorDomain)
			}
		}
	}
	s.pebble.ServeHTTP(response, request)
}

func (s *server) cover(account *core.Account, name string, ancestor string) {
	identifier := acme.Identifier{Type: "dns", Value: name}
	if s.db.FindValidAuthorization(account.ID, identifier) != nil {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, above := range s.created {
		above.RLock()
		domain := above.Identifier.Value
		covers := above.Status == acme.StatusValid && above.ExpiresDate.After(time.Now()) &&
			above.Order.AccountID == account.ID && strings.HasSuffix(name, "."+domain) &&
			(s.config.Pebble.SubdomainsCovered || (above.subdomains && ancestor == domain))
		expires := above.ExpiresDate
		above.RUnlock()
		if covers {
			covered := &core.Authorization{
				ID: token(), ExpiresDate: expires, Order: above.Order,
				Authorization: acme.Authorization{
					Status: acme.StatusValid, Identifier: identifier, Expires: expires.UTC().Format(time.RFC3339),
				},
			}
			_, _ = s.db.AddAuthorization(covered)
			return
		}
	}
}

// limitLifetimes makes authorizations that have become valid expire as configured.
func (s *server) limitLifetimes() {
	lifetime := time.Duration(s.config.Pebble.AuthorizationLifetime) * time.Second
	if lifetime == 0 {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, one := range s.created {
		one.Lock()
		if one.Status == acme.StatusValid && !one.expires {
			one.expires = true
			one.ExpiresDate = time.Now().Add(lifetime)
			one.Expires = one.ExpiresDate.UTC().Format(time.RFC3339)
		}
		one.Unlock()
	}
}

// verified returns the account that has signed a request, and its payload (RFC 8555 section 6.2).
func (s *server) verified(request *http.Request) (*core.Account, []byte, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, nil, err
	}
	return s.verifiedBody(body)
}

func (s *server) verifiedBody(body []byte) (*core.Account, []byte, error) {
	signed, err := jose.ParseSigned(string(body), []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512})
	if err != nil {
		return nil, nil, err
	}
	kid := signed.Signatures[0].Protected.KeyID
	account := s.db.GetAccountByID(kid[strings.LastIndex(kid, "/")+1:])
	if account == nil {
		return nil, nil, fmt.Errorf("no account %q", kid)
	}
	payload, err := signed.Verify(account.Key)
	return account, payload, err
}

// nonce adds a fresh nonce of Pebble to an answer.
func (s *server) nonce(response http.ResponseWriter, request *http.Request) {
	recorder := httptest.NewRecorder()
	head := httptest.NewRequest(http.MethodHead, s.url(request, "/nonce-plz"), nil)
	s.pebble.ServeHTTP(recorder, head)
	response.Header().Set("Replay-Nonce", recorder.Header().Get("Replay-Nonce"))
}

func (s *server) url(request *http.Request, path string) string {
	return "https://" + request.Host + path
}

func problem(response http.ResponseWriter, status int, code string, detail string) {
	response.Header().Set("Content-Type", "application/problem+json")
	response.WriteHeader(status)
	document := map[string]any{"type": "urn:ietf:params:acme:error:" + code, "detail": detail, "status": status}
	_ = json.NewEncoder(response).Encode(document)
}

func token() string {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}
