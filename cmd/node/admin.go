package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rookery"
	"rookery/storage/command"
)

// settingsBody is what travels over the administration socket.
type settingsBody struct {
	Document string `json:"document"`
	Version  uint64 `json:"version"`
}

type errorBody struct {
	Error string       `json:"error"`
	Kind  rookery.Kind `json:"kind"`
}

// adminServer answers operators on a socket that only the owner of the data
// directory can open.
type adminServer struct {
	settings *settingsStore
	status   func() Status
	mint     func(ctx context.Context, valid time.Duration) (string, []string, error)
	state    func(ctx context.Context, name string, state command.NodeState) error
	finalize func(ctx context.Context) error
	groups   func(ctx context.Context, count int) ([]AddedGroup, error)
	rekey    func(ctx context.Context) (uint64, error)
	orders   []func(*http.ServeMux) // add those of rookery storage, key and account
	logger   *slog.Logger
	http     http.Server
}

func (a *adminServer) serve(ctx context.Context, network Network, path string) error {
	ln, err := network.Listen(ctx, "unix", path)
	if err != nil {
		return rookery.E("open administration socket", cmp.Or(rookery.KindOf(err), rookery.KindUnavailable), err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/settings", a.getSettings)
	mux.HandleFunc("PUT /v1/settings", a.putSettings)
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { reply(w, a.status()) })
	mux.HandleFunc("POST /v1/token", a.postToken)
	mux.HandleFunc("POST /v1/nodes/{name}/{state}", a.postState)
	mux.HandleFunc("POST /v1/finalize", func(w http.ResponseWriter, r *http.Request) {
		if err := a.finalize(r.Context()); err != nil {
			replyError(w, err)
			return
		}
		reply(w, struct{}{})
	})
	mux.HandleFunc("POST /v1/groups", a.postGroups)
	mux.HandleFunc("POST /v1/gossip", a.postGossip)
	for _, add := range a.orders {
		add(mux)
	}
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	a.http.RegisterOnShutdown(end)
	a.http.Handler = endLong(ending, mux)
	a.http.ReadTimeout = 30 * time.Second
	a.http.ErrorLog = slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn)
	go a.http.Serve(ln)
	return nil
}

func (a *adminServer) close(ctx context.Context) error { return a.http.Shutdown(ctx) }

func (a *adminServer) getSettings(w http.ResponseWriter, r *http.Request) {
	s, version, err := a.settings.read(r.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	s.hide()
	doc, err := s.Document()
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, settingsBody{string(doc), version})
}

func (a *adminServer) putSettings(w http.ResponseWriter, r *http.Request) {
	var in settingsBody
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		replyError(w, rookery.E("read settings", rookery.KindInvalid, err))
		return
	}
	next, err := ParseSettings([]byte(in.Document))
	if err != nil {
		replyError(w, err)
		return
	}
	version, err := a.settings.write(r.Context(), next, in.Version)
	if err != nil {
		replyError(w, err)
		return
	}
	a.logger.Info("settings changed", "version", version)
	reply(w, settingsBody{Version: version})
}

// Invitation is a join token with where to use it.
type Invitation struct {
	Token     string        `json:"token"`
	Addresses []string      `json:"addresses"`
	Valid     time.Duration `json:"valid_ns"`
}

func (a *adminServer) postToken(w http.ResponseWriter, r *http.Request) {
	var in Invitation
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in)
	if err != nil || in.Valid < time.Minute || in.Valid > 30*24*time.Hour {
		replyError(w, rookery.E("mint token", rookery.KindInvalid, fmt.Errorf("a token is valid for 1 minute to 30 days, not %v", in.Valid)))
		return
	}
	if in.Token, in.Addresses, err = a.mint(r.Context(), in.Valid); err != nil {
		replyError(w, err)
		return
	}
	reply(w, in)
}

func (a *adminServer) postState(w http.ResponseWriter, r *http.Request) {
	states := map[string]command.NodeState{"drain": command.NodeDraining, "undrain": command.NodeActive, "remove": command.NodeRemoved}
	to, ok := states[r.PathValue("state")]
	if !ok {
		replyError(w, rookery.E("change node", rookery.KindInvalid, fmt.Errorf("%q is none of drain, undrain, remove", r.PathValue("state"))))
		return
	}
	if err := a.state(r.Context(), r.PathValue("name"), to); err != nil {
		replyError(w, err)
		return
	}
	reply(w, struct{}{})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// httpStatus is this edge's table from kind to reply.
var httpStatus = map[rookery.Kind]int{
	rookery.KindUnknown:     http.StatusServiceUnavailable,
	rookery.KindInvalid:     http.StatusBadRequest,
	rookery.KindNotFound:    http.StatusNotFound,
	rookery.KindExists:      http.StatusConflict,
	rookery.KindDenied:      http.StatusForbidden,
	rookery.KindCredentials: http.StatusForbidden,
	rookery.KindDisabled:    http.StatusForbidden,
	rookery.KindOverQuota:   http.StatusInsufficientStorage,
	rookery.KindTooLarge:    http.StatusRequestEntityTooLarge,
	rookery.KindLimit:       http.StatusTooManyRequests,
	rookery.KindConflict:    http.StatusConflict,
	rookery.KindUnavailable: http.StatusServiceUnavailable,
	rookery.KindDamaged:     http.StatusInternalServerError,
	rookery.KindMoved:       http.StatusServiceUnavailable,
}

func replyError(w http.ResponseWriter, err error) {
	kind := rookery.KindOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus[kind])
	json.NewEncoder(w).Encode(errorBody{err.Error(), kind})
}

// AdminClient talks to a running node's administration socket.
type AdminClient struct {
	path string
	http http.Client
}

// NewAdminClient makes a client of the socket at path; it connects when used.
func NewAdminClient(path string) *AdminClient {
	c := &AdminClient{path: path}
	c.http.Timeout = 20 * time.Second
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return c
}

// Settings reads the settings document, its secrets hidden, and its version.
func (c *AdminClient) Settings(ctx context.Context) ([]byte, uint64, error) {
	var body settingsBody
	err := c.call(ctx, http.MethodGet, "/v1/settings", nil, &body)
	return []byte(body.Document), body.Version, err
}

// PutSettings replaces the settings if they are still at version; else KindConflict.
func (c *AdminClient) PutSettings(ctx context.Context, doc []byte, version uint64) error {
	return c.call(ctx, http.MethodPut, "/v1/settings", settingsBody{string(doc), version}, &settingsBody{})
}

// Status reads what the node says of itself.
func (c *AdminClient) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Mint makes a join token.
func (c *AdminClient) Mint(ctx context.Context, valid time.Duration) (Invitation, error) {
	var i Invitation
	err := c.call(ctx, http.MethodPost, "/v1/token", Invitation{Valid: valid}, &i)
	return i, err
}

// SetNode changes a node, by its name or id: drain, undrain or remove.
func (c *AdminClient) SetNode(ctx context.Context, name, change string) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(name)+"/"+change, struct{}{}, &struct{}{})
}

// Finalize raises the version gate to what the asked node's binary reads.
func (c *AdminClient) Finalize(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/finalize", struct{}{}, &struct{}{})
}

func (c *AdminClient) call(ctx context.Context, method, path string, in, out any) error {
	const op = "ask the node"
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return rookery.E(op, rookery.KindInvalid, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// unreached words why no answer came.
func (c *AdminClient) unreached(ctx context.Context, err error) error {
	const op = "ask the node"
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return rookery.E(op, rookery.KindUnavailable, errors.New("the node did not answer in time; whether the change took place shows in: rookery status"))
	}
	return rookery.E(op, rookery.KindUnavailable,
		fmt.Errorf("%w; is a node running on this data directory? name it with -data DIR or -socket PATH", err))
}

// refused reads what the node said instead of doing it.
func refused(resp *http.Response) error {
	const op = "ask the node"
	var e errorBody
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		return rookery.E(op, rookery.KindUnknown, fmt.Errorf("status %s", resp.Status))
	}
	return rookery.E(op, e.Kind, errors.New(e.Error))
}

// IsSecret reports whether the settings key holds a secret.
func IsSecret(key string) bool {
	return strings.HasSuffix(key, ".secret_key") || strings.HasPrefix(key, "directories.") && strings.HasSuffix(key, ".password")
}
