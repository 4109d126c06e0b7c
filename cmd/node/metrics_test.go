package node

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scraped is one answer of the endpoint, by name and labels.
type scraped map[string]float64

var sampleLine = regexp.MustCompile(`^([a-z_]+(?:\{[^}]*\})?) (\S+)$`)

func scrapeFrom(t *testing.T, address string) (all scraped, text string) {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s %v\n%s", r.Status, err, b)
	}
	all = scraped{}
	for line := range strings.Lines(string(b)) {
		if m := sampleLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			if all[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
				t.Errorf("no number: %s", line)
			}
		}
	}
	return all, string(b)
}

// A node that has served every protocol tells of it: each metric on the page
// is given, the counts are those of what happened, and nobody is named.
func TestMetricsOfAServingNode(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cfg := testConfig(t)
	cfg.Listen.Metrics = []string{address}
	deps := testDeps(t, directoryServer(t))
	deps.tuning.packAge = time.Hour // bodies wait
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(n)
	at := n.Addrs()
	who := login(0)
	post := func(to string) error {
		c, err := smtp.Dial(at["smtp"][0])
		if err != nil {
			return err
		}
		defer c.Close()
		if err := errors.Join(c.Mail("mallory@elsewhere.test"), c.Rcpt(to)); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, "Subject: hello\r\n\r\nsecret words\r\n")
		return errors.Join(err, w.Close())
	}
	for range 3 {
		if err := post(who); err != nil {
			t.Fatal(err)
		}
	}
	var refused *textproto.Error
	if err := post("nobody@example.test"); !errors.As(err, &refused) || refused.Code != 550 {
		t.Fatalf("nobody: %v", err)
	}
	talk(t, at["imaps"][0], "a LOGIN "+who+" wrong\r\nb LOGIN "+who+
		" secret\r\nc SELECT INBOX\r\nd FETCH 1:* BODY.PEEK[]\r\ne NONSENSE\r\nf LOGOUT\r\n")
	talk(t, at["pop3s"][0], "USER "+who+"\r\nPASS secret\r\nRETR 1\r\nRETR 99\r\nQUIT\r\n")

	all, text := scrapeFrom(t, address)
	for key, want := range map[string]float64{
		`rookery_deliveries_total{result="accepted",road="smtp"}`:                  3,
		`rookery_commands_total{command="RCPT",protocol="smtp",result="2xx"}`:      3,
		`rookery_commands_total{command="RCPT",protocol="smtp",result="5xx"}`:      1,
		`rookery_commands_total{command="DATA",protocol="smtp",result="2xx"}`:      3,
		`rookery_commands_total{command="LOGIN",protocol="imap",result="no"}`:      1,
		`rookery_commands_total{command="LOGIN",protocol="imap",result="ok"}`:      1,
		`rookery_commands_total{command="FETCH",protocol="imap",result="ok"}`:      1,
		`rookery_commands_total{command="unknown",protocol="imap",result="bad"}`:   1,
		`rookery_commands_total{command="RETR",protocol="pop3",result="ok"}`:       1,
		`rookery_commands_total{command="RETR",protocol="pop3",result="err"}`:      1,
		`rookery_directory_requests_total{request="sign-in",result="credentials"}`: 1,
		`rookery_directory_requests_total{request="recipient",result="not_found"}`: 1,
		`rookery_connections_total{listener="imaps"}`:                              1,
		`rookery_nodes{state="active"}`:                                            1,
		`rookery_group_leads{group="1"}`:                                           1,
		`rookery_ready{protocol="smtp"}`:                                           1,
		`rookery_commit_seconds_count{log="mail"}`:                                 -1,
		`rookery_command_seconds_count{command="FETCH",protocol="imap"}`:           1,
	} {
		if got, ok := all[key]; !ok || want >= 0 && got != want || want < 0 && got <= 0 {
			t.Errorf("%s is %v (given: %v), want %v", key, got, ok, want)
		}
	}
	var waiting, oldest float64
	for key, v := range all {
		if strings.HasPrefix(key, "rookery_unpacked_bodies") {
			waiting += v
		}
		if strings.HasPrefix(key, "rookery_unpacked_age_seconds") {
			oldest = max(oldest, v)
		}
	}
	if waiting != 3 || oldest <= 0 || oldest > 120 {
		t.Errorf("%v bodies wait to be packed, the oldest for %v s; want 3, for a moment", waiting, oldest)
	}
	for _, private := range []string{who, "user0", "mallory", "example.test", "secret", "nobody", n.id.Generation + "hello"} {
		if strings.Contains(text, private) {
			t.Errorf("%q stands in the metrics", private)
		}
	}
	// What needs an event that did not happen here may be missing.
	rare := []string{"rookery_commit_failures_total", "rookery_store_requests_total", "rookery_store_seconds", "rookery_store_bytes_total",
		"rookery_outbound_total", "rookery_outbound_tls_sessions_total",
		"rookery_backup_lag_seconds", "rookery_backup_image_age_seconds", "rookery_backup_oldest_timestamp_seconds"}
	series := map[string]int{}
	for key := range all {
		name, _, _ := strings.Cut(key, "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		series[name]++
	}
	for _, name := range n.metrics.Names() {
		if series[name] == 0 && !slices.Contains(rare, name) {
			t.Errorf("%s is on the page and not given", name)
		}
		delete(series, name)
	}
	for name := range series {
		if strings.HasPrefix(name, "rookery_") {
			t.Errorf("%s is given and not on the page", name)
		}
	}
}

// talk says something over TLS and reads to the end.
func talk(t *testing.T, address, lines string) string {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, lines); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}
