package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

type lease struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Spec struct {
		Holder string `json:"holderIdentity"`
	} `json:"spec"`
}

type racer struct {
	client                 *http.Client
	leases, name, identity string
	token                  string
}

func (r racer) request(method, url string, body []byte) (*http.Response, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	check(err)
	request.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return r.client.Do(request)
}

// write is conditional on the version; whether it landed, and the Lease as it is then.
func (r racer) write(version, holder string) (bool, lease) {
	body := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"spec":{"holderIdentity":%q}}`, version, holder)
	response, err := r.request("PATCH", r.leases+"/"+r.name, []byte(body))
	check(err)
	defer response.Body.Close()
	var now lease
	text, err := io.ReadAll(response.Body)
	check(err)
	check(json.Unmarshal(text, &now))
	return response.StatusCode == 200, now
}

// minimum is a candidate without an election: it takes the Lease whenever a watch shows it empty, and empties the Lease for each line of
// standard input. It has no renewal, no deadline and no application.
func minimum(arguments []string) {
	flags := flag.NewFlagSet("minimum", flag.ExitOnError)
	server := flags.String("server", "", "")
	ca := flags.String("ca", "", "")
	token := flags.String("token", "", "")
	namespace := flags.String("namespace", "", "")
	name := flags.String("lease", "", "")
	identity := flags.String("identity", "", "")
	check(flags.Parse(arguments))
	pem, err := os.ReadFile(*ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	leases := *server + "/apis/coordination.k8s.io/v1/namespaces/" + *namespace + "/leases"
	racer := racer{&http.Client{Transport: transport}, leases, *name, *identity, *token}
	var lock sync.Mutex
	var newest lease
	released := ""

	see := func(now lease) {
		lock.Lock()
		defer lock.Unlock()
		newest = now
		if now.Spec.Holder != "" {
			released = ""
			return
		}
		if released != "" { // its own release, or the echo of it: the other one's turn
			return
		}
		if landed, after := racer.write(now.Metadata.ResourceVersion, racer.identity); landed {
			say(map[string]any{"event": "acquired", "boottime_ns": boottime()})
			newest = after
		}
	}

	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			lock.Lock()
			began := boottime()
			landed, after := racer.write(newest.Metadata.ResourceVersion, "")
			if landed {
				released, newest = after.Metadata.ResourceVersion, after
			}
			say(map[string]any{"event": "released", "landed": landed, "boottime_ns": began})
			lock.Unlock()
		}
		os.Exit(0)
	}()

	response, err := racer.request("GET", leases+"/"+*name, nil)
	check(err)
	var first lease
	check(json.NewDecoder(response.Body).Decode(&first))
	response.Body.Close()
	query := []string{"watch=1", "timeoutSeconds=86400", "fieldSelector=metadata.name%3D" + *name,
		"resourceVersion=" + first.Metadata.ResourceVersion}
	stream, err := racer.request("GET", leases+"?"+strings.Join(query, "&"), nil)
	check(err)
	say(map[string]any{"event": "watching", "boottime_ns": boottime()})
	see(first)
	for events := json.NewDecoder(stream.Body); ; {
		var event struct{ Object lease }
		check(events.Decode(&event))
		see(event.Object)
	}
}
