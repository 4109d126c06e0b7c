package tables

import (
	"testing"

	"rookery"
	"rookery/storage/command"
)

type run struct{ seen int }

func (r *run) done(*command.PackDead) (command.Result, error) {
	r.seen++
	return &command.Done{}, nil
}

func (r *run) no(*command.PackForget) (command.Result, error) {
	return nil, Refuse(rookery.KindDenied, "no")
}

func TestCommandsGoToTheirPart(t *testing.T) {
	p := Join("a test", Part[*run]{Handlers: []Handler[*run]{On((*run).done)}}, Part[*run]{Handlers: []Handler[*run]{On((*run).no)}})
	r := &run{}
	if _, err := p.Run(r, &command.PackDead{}); err != nil || r.seen != 1 {
		t.Fatal(r.seen, err)
	}
	if _, err := p.Run(r, &command.PackForget{}); !rookery.Is(err, rookery.KindDenied) || Reason(err) != "no" {
		t.Fatal(err)
	}
	if _, err := p.Run(r, &command.PackDeleted{}); !rookery.Is(err, rookery.KindInvalid) || p.Handles(command.TypeOf(&command.PackDeleted{})) {
		t.Fatal(err)
	}
	if _, err := p.Run(r, &command.Admit{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Fatal(err)
	}
}

func TestACommandHasOneHandler(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("two handlers of one command were taken")
		}
	}()
	Join("a test", Part[*run]{Handlers: []Handler[*run]{On((*run).done), On((*run).done)}})
}
