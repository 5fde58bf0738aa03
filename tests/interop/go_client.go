// Go's golang.org/x/oauth2 as a client of our server: its HTTP client renews by itself when a token is over.
// Ends with a line of JSON, of which each part is about one way to say who one is; openid_client.mjs prints the
// same, but for revocation and introspection, which x/oauth2 does not have.
//
// `go run go_client.go URL CLIENT SECRET`; the client without a secret is called "web".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const renewals = 5

var server, id, secret = os.Args[1], os.Args[2], os.Args[3]

type told struct {
	Renewed int       `json:"renewed"`
	Failed  int       `json:"failed"`
	Reuse   [2]string `json:"reuse"`
	Own     any       `json:"own"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// refusal returns the code of the error that a request for a token ended in.
func refusal(err error) string {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	var body struct{ Error string }
	if json.Unmarshal(refused.Body, &body) != nil {
		return refused.Error()
	}
	return body.Error
}

func login(client, secret string) *oauth2.Token {
	form := url.Values{"client_id": {client}, "subject": {"alice"}, "scope": {"read"}}
	if secret != "" {
		form.Set("client_secret", secret)
	}
	answer := must(http.PostForm(server+"/dev-login", form))
	defer answer.Body.Close()
	var token oauth2.Token
	if err := json.NewDecoder(answer.Body).Decode(&token); err != nil {
		panic(err)
	}
	return &token
}

func through(client, secret string, style oauth2.AuthStyle, tokenURL string) told {
	background := context.Background()
	config := oauth2.Config{
		ClientID:     client,
		ClientSecret: secret,
		Endpoint:     oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: style},
	}
	number := 0
	call := func(with *http.Client) int {
		number++
		answer := must(with.Get(fmt.Sprintf("%s/things/%d", server, number)))
		answer.Body.Close()
		return answer.StatusCode
	}
	refresh := func(refreshToken string) error {
		_, err := config.TokenSource(background, &oauth2.Token{RefreshToken: refreshToken}).Token()
		return err
	}

	var result told
	newest := login(client, secret)
	seen := map[string]bool{newest.RefreshToken: true}
	var spent string
	for renewal := 0; renewal < renewals; renewal++ {
		spent = newest.RefreshToken
		newest.Expiry = time.Now().Add(-time.Second)
		source := config.TokenSource(background, newest)
		if call(oauth2.NewClient(background, source)) != http.StatusOK {
			result.Failed++
		}
		newest = must(source.Token())
		seen[newest.RefreshToken] = true
	}
	result.Renewed = len(seen) - 1
	result.Reuse = [2]string{refusal(refresh(spent)), refusal(refresh(newest.RefreshToken))}

	own := clientcredentials.Config{
		ClientID:     client,
		ClientSecret: secret,
		TokenURL:     tokenURL,
		Scopes:       []string{"read"},
		AuthStyle:    style,
	}
	if token, err := own.Token(background); err != nil {
		result.Own = refusal(err)
	} else {
		with := oauth2.NewClient(background, oauth2.StaticTokenSource(token))
		result.Own = []any{call(with), token.RefreshToken == ""}
	}
	return result
}

func main() {
	// It has no discovery.
	answer := must(http.Get(server + "/.well-known/oauth-authorization-server"))
	var metadata struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&metadata); err != nil {
		panic(err)
	}
	answer.Body.Close()
	results := map[string]told{
		// By default it tries the header first, where a public client has an empty secret.
		"none":                through("web", "", oauth2.AuthStyleAutoDetect, metadata.TokenEndpoint),
		"client_secret_basic": through(id, secret, oauth2.AuthStyleInHeader, metadata.TokenEndpoint),
		"client_secret_post":  through(id, secret, oauth2.AuthStyleInParams, metadata.TokenEndpoint),
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		panic(err)
	}
}
