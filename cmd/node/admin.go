package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/inforce"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
)

// adminServer answers operators on a socket that only the owner of the data
// directory and the members of the group rookery can open.
type adminServer struct {
	settings *inforce.Settings
	status   func() adminapi.Status
	mint     func(ctx context.Context, valid time.Duration) (string, []string, error)
	state    func(ctx context.Context, name string, state command.NodeState) error
	finalize func(ctx context.Context) error
	groups   func(ctx context.Context, count int) ([]adminapi.AddedGroup, error)
	orders   []func(*routes) // declare those of rookery storage, key, account and audit
	audit    audit
	logger   *slog.Logger
	http     http.Server
}

func (a *adminServer) serve(ctx context.Context, network Network, path string) error {
	ln, err := network.Listen(ctx, "unix", path)
	if err != nil {
		return rookery.E("open administration socket", cmp.Or(rookery.KindOf(err), rookery.KindUnavailable), err)
	}
	t := newRoutes(a.audit, a.logger)
	a.routes(t)
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	a.http.RegisterOnShutdown(end)
	a.http.Handler = endLong(ending, t.mux)
	a.http.ConnContext = withPrincipal
	a.http.ReadTimeout = 30 * time.Second
	a.http.ErrorLog = slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn)
	go a.http.Serve(ln)
	return nil
}

// routes declares what may be asked for.
func (a *adminServer) routes(t *routes) {
	t.reads("GET /v1/settings", a.getSettings)
	t.changes("PUT /v1/settings", "config set", a.putSettings)
	t.reads("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { reply(w, a.status()) })
	t.changes("POST /v1/token", "token", a.postToken)
	t.changes("POST /v1/nodes/{name}/{state}", "{state}", a.postState)
	t.changes("POST /v1/finalize", "upgrade finalize", func(w http.ResponseWriter, r *http.Request) {
		if err := a.finalize(r.Context()); err != nil {
			replyError(w, err)
			return
		}
		reply(w, struct{}{})
	})
	t.changes("POST /v1/groups", "group add", a.postGroups)
	for _, add := range a.orders {
		add(t)
	}
}

func (a *adminServer) close(ctx context.Context) error { return a.http.Shutdown(ctx) }

func (a *adminServer) getSettings(w http.ResponseWriter, r *http.Request) {
	s, version, err := a.settings.Read(r.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	s.Hide()
	doc, err := s.Document()
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, adminapi.SettingsBody{Document: string(doc), Version: version})
}

func (a *adminServer) putSettings(w http.ResponseWriter, r *http.Request) {
	var in adminapi.SettingsBody
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		replyError(w, rookery.E("read settings", rookery.KindInvalid, err))
		return
	}
	next, err := settings.Parse([]byte(in.Document))
	if err != nil {
		replyError(w, err)
		return
	}
	before, _, err := a.settings.Read(r.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	version, err := a.settings.Write(r.Context(), next, in.Version, in.Orphan...)
	if err != nil {
		replyError(w, err)
		return
	}
	a.logger.Info("settings changed", "version", version)
	noteDetail(w, "changed "+changedKeys(before, next))
	reply(w, adminapi.SettingsBody{Version: version})
}

// changedKeys names the settings that a change gives other values.
func changedKeys(before, next settings.Cluster) string {
	before.Hide() // next has the same in place of a secret that stays
	old, err := before.Document()
	doc, err2 := next.Document()
	changes, err3 := settings.Diff(old, doc)
	if err := errors.Join(err, err2, err3); err != nil {
		return "keys that cannot be told: " + err.Error()
	}
	keys := make([]string, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return strings.Join(keys, ", ")
}

func (a *adminServer) postToken(w http.ResponseWriter, r *http.Request) {
	var in adminapi.Invitation
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
	noteOutcome(w, nil)
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
	noteOutcome(w, err)
	kind := rookery.KindOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus[kind])
	json.NewEncoder(w).Encode(adminapi.ErrorBody{Error: err.Error(), Kind: kind})
}
