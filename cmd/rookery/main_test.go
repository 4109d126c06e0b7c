package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rookery"
)

func TestEveryKindHasAnExitCode(t *testing.T) {
	for _, k := range rookery.Kinds() {
		if exitOf[k] == 0 {
			t.Errorf("no exit code for %v", k)
		}
	}
}

func TestHelpOfEveryVerbHasAnExample(t *testing.T) {
	for _, v := range verbs() {
		var out, errs bytes.Buffer
		if code := run(t.Context(), &shell{&out, &errs}, []string{"help", v.name}); code != 0 {
			t.Errorf("help %s exits with %d", v.name, code)
		}
		if !strings.Contains(out.String(), "Example") || !strings.Contains(out.String(), "usage: rookery "+v.name) {
			t.Errorf("help %s has no usage or no example:\n%s", v.name, out.String())
		}
	}
}

func TestWrongCallsExitWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"nosuch"}, {"serve"}, {"config"}, {"config", "nosuch"}, {"dev", "-nodes", "0"}, {"dev", "-port-base", "70000"},
		{"dev", "stray"}, {"init"}, {"join"}, {"token", "stray"}, {"status", "-nosuch"}, {"drain"}, {"version", "stray"},
		{"serve", "-config", "/nosuch", "-log-level", "loud"}, {"config", "-data", "x"}, {"drain", ""}, {"drain", "n", "-timeout", "0s"},
		{"join", "-config", "/nosuch", "mail1.example.com"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), &shell{&out, &errs}, args); code != exitUsage || errs.Len() == 0 {
			t.Errorf("rookery %v exits with %d: %s", args, code, errs.String())
		}
	}
}

func TestPortsOfNodes(t *testing.T) {
	p, err := choosePorts(0, 3)
	if err != nil || p[0].smtp != 2525 || p[2].imaps != 22993 {
		t.Errorf("default ports %+v, %v", p, err)
	}
	p, err = choosePorts(15000, 2)
	if err != nil || p[0].smtp != 15000 || p[1].smtp != 15100 || p[0].ldap != 15007 {
		t.Errorf("packed ports %+v, %v", p, err)
	}
}

func TestTimesArePlain(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Second: "10s", 100 * time.Minute: "1h40m", 10 * time.Hour: "10h"} {
		if got := plainly(d); got != want {
			t.Errorf("%v reads %s, want %s", d, got, want)
		}
	}
}

func TestHelpIsOneText(t *testing.T) {
	for _, v := range verbs() {
		var texts []string
		for _, args := range [][]string{{"help", v.name}, {v.name, "-h"}, {v.name, "--help"}} {
			var out, errs bytes.Buffer
			if code := run(t.Context(), &shell{&out, &errs}, args); code != 0 || errs.Len() > 0 {
				t.Errorf("rookery %v exits with %d: %s", args, code, errs.String())
			}
			texts = append(texts, out.String())
		}
		if texts[0] != texts[1] || texts[0] != texts[2] || !strings.Contains(texts[0], "Exit codes:") {
			t.Errorf("help of %s differs, or names no exit codes:\n%q", v.name, texts)
		}
	}
}

func TestErrorsAsJSON(t *testing.T) {
	for _, args := range [][]string{
		{"status", "--json", "-socket", "/nosuch/admin.sock"}, {"drain", "--json"}, {"remove", "n", "-json", "-socket", "/nosuch/admin.sock"},
		{"config", "get", "--json", "-socket", "/nosuch/admin.sock"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), &shell{&out, &errs}, args)
		var e jsonError
		if err := json.Unmarshal(errs.Bytes(), &e); err != nil || e.Code != code || code == 0 || e.Command != args[0] || e.Error == "" || e.Kind == "" {
			t.Errorf("rookery %v exits with %d: %s (%v)", args, code, errs.String(), err)
		}
	}
}
