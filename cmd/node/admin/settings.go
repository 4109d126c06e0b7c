package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
)

// settingsRoutes adds rookery config.
func (a *Server) settingsRoutes(t *routes) {
	t.reads("GET /v1/settings", a.getSettings)
	t.changes("PUT /v1/settings", "config set", a.putSettings)
}

func (a *Server) getSettings(w http.ResponseWriter, r *http.Request) {
	s, version, err := a.o.Settings.Read(r.Context())
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

func (a *Server) putSettings(w http.ResponseWriter, r *http.Request) {
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
	before, _, err := a.o.Settings.Read(r.Context())
	if err != nil {
		replyError(w, err)
		return
	}
	version, err := a.o.Settings.Change(r.Context(), next, in.Version, in.Force, in.Orphan...)
	if err != nil {
		replyError(w, err)
		return
	}
	a.o.Logger.Info("settings changed", "version", version)
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
