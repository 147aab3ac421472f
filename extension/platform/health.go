package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxHealthBody is more than any answer of GET /health has.
const maxHealthBody = 1 << 16

// CheckHealth asks a base URL for /health once and says in plain words why it is not a Verity that can be tested.
// It is no load: it emits no metric.
func CheckHealth(ctx context.Context, client *http.Client, baseURL string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/health", http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s/health: %w", baseURL, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w; is the service up, and BASE_URL right?", baseURL, errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBody))
	if err != nil {
		return fmt.Errorf("%s broke off its answer to GET /health: %w", baseURL, err)
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("%s throttles this runner already (GET /health was answered 429); wait a minute, "+
			"and have the rate limit lifted", baseURL)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not a healthy Verity: GET /health was answered %d with %s; check BASE_URL",
			baseURL, response.StatusCode, healthBody(body))
	}
	var health struct {
		Status        string   `json:"status"`
		UptimeSeconds *float64 `json:"uptimeSeconds"`
	}
	if json.Unmarshal(body, &health) != nil || health.Status == "" || health.UptimeSeconds == nil {
		return fmt.Errorf("%s is not a Verity: GET /health was answered 200 with %s, not with status and uptimeSeconds; "+
			"check BASE_URL", baseURL, healthBody(body))
	}
	if health.Status != "ok" {
		return fmt.Errorf("%s is not healthy: GET /health says status %q", baseURL, shorten(health.Status))
	}
	return nil
}

func healthBody(body []byte) string {
	if said := serviceMessage(body); said != describeBody(body) {
		return fmt.Sprintf("the message %q", said)
	}
	return describeBody(body)
}
