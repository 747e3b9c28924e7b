package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"

	"gatepost/appliance/reset"
	"gatepost/internal/api"
)

// returns goes from the third version back to the second, as its owner wants it: the log of both is there, and mail goes on. The machine is on, and
// is off then.
func (l *life) returns(ctx context.Context) error {
	before, err := l.o.logged(ctx)
	if err != nil {
		return err
	}
	var a api.Appliance
	if err := l.o.ask(ctx, http.MethodPost, "/appliance/rollback", struct{}{}, &a); err != nil {
		return err
	}
	if a.Next != second || state(&a, third) != "withdrawn" {
		return fmt.Errorf("after the rollback: %+v", a)
	}
	if err := l.o.restarts(ctx, "b"); err != nil {
		return err
	}
	if err := l.o.runs(second, "b"); err != nil {
		return err
	}
	if err := l.o.remembers(ctx, before); err != nil {
		return err
	}
	l.v.took("version " + second + " runs again")
	if err := l.o.mail(l.sink.GoSMTP); err != nil {
		return err
	}
	return l.off(ctx)
}

// anew has a backup made and everything erased, and restores the backup in place of a first run: whoever was known before is known again, and
// mail goes on as before.
func (l *life) anew(ctx context.Context) error {
	if err := l.on("backup, factory reset and restore", false); err != nil {
		return err
	}
	if err := l.o.meets(); err != nil {
		return err
	}
	file, err := l.o.backup(ctx)
	if err != nil {
		return err
	}
	l.v.took(fmt.Sprintf("backup of %d octets made and fetched", len(file)))
	if err := l.o.erases(ctx); err != nil {
		return err
	}
	if err := l.o.enters(ctx); err != nil {
		return err
	}
	l.v.took("first run after the reset")
	if err := l.o.restores(ctx, file, l.key); err != nil {
		return err
	}
	// By the token of before, which is in the backup.
	if err := l.o.meets(); err != nil {
		return err
	}
	l.v.took("the owner of before is known again")
	if err := l.o.mail(l.sink.GoSMTP); err != nil {
		return err
	}
	return l.off(ctx)
}

// backup has one made, and fetches it.
func (o *owner) backup(ctx context.Context) ([]byte, error) {
	if err := o.ask(ctx, http.MethodPost, "/backups", struct{}{}, nil); err != nil {
		return nil, err
	}
	var file api.BackupFile
	err := o.await("a backup", func(ctx context.Context) error {
		var all api.Backups
		if err := o.ask(ctx, http.MethodGet, "/backups", nil, &all); err != nil {
			return err
		}
		if len(all.Files) == 0 || !all.Began.IsZero() {
			return fmt.Errorf("%+v", all)
		}
		file = all.Files[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	a, err := o.do(ctx, http.MethodPost, "/api/v1/backups/fetch", strings.NewReader(fmt.Sprintf(`{"target":%q,"name":%q}`, file.Target, file.Name)),
		"Authorization", "Bearer "+o.token, "Content-Type", "application/json")
	if err == nil && (a.code != http.StatusOK || int64(len(a.body)) != file.Octets) {
		err = fmt.Errorf("fetching %+v: %d, %d octets: %.300s", file, a.code, len(a.body), a.body)
	}
	return []byte(a.body), err
}

// erases asks for a factory reset, and waits until nobody is known any more and mail is turned away.
func (o *owner) erases(ctx context.Context) error {
	o.v.forget()
	if err := o.ask(ctx, http.MethodPost, "/appliance/reset", &api.ApplianceReset{Words: reset.Words}, nil); err != nil {
		return err
	}
	if err := o.v.awaitLine(ctx, "gatepost-init: version "); err != nil {
		return err
	}
	o.v.took("restarted for the reset")
	return o.v.await(ctx, "the banner of a gateway that serves nobody", func() error {
		said, err := o.v.dialogue()
		if !strings.HasPrefix(said, "421 ") {
			return fmt.Errorf("it greets with %q: %w", said, err)
		}
		return nil
	})
}

// restores uploads a backup in the first run, and has it put in place.
func (o *owner) restores(ctx context.Context, file []byte, key string) error {
	const path = "/begin/restore"
	page, err := o.page(ctx, path)
	if err != nil {
		return err
	}
	f, err := formOf(page, path)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	f.fields.Set("key", key)
	f.fields.Del("file")
	f.fields.Del("keyfile")
	for name := range f.fields {
		if err := m.WriteField(name, f.fields.Get(name)); err != nil {
			return err
		}
	}
	w, err := m.CreateFormFile("file", "gatepost.age")
	if err != nil {
		return err
	}
	if _, err := w.Write(file); err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	a, err := o.do(ctx, http.MethodPost, path, &body, "Content-Type", m.FormDataContentType())
	if err != nil {
		return err
	}
	if a.code != http.StatusSeeOther || a.to != path {
		_, texts, _ := formsOf(a.body)
		return fmt.Errorf("the upload is answered by %d, to %q: %s %s", a.code, a.to, texts["msg err"], texts["bad"])
	}
	o.v.took("backup uploaded and verified")
	o.v.forget()
	if a, err = o.send(ctx, path, path+"/start"); err != nil {
		return err
	}
	if a.code != http.StatusOK || !strings.Contains(a.body, "restarts by itself") {
		return errors.New("the restore did not begin: " + a.body)
	}
	if err := o.v.awaitLine(ctx, "gatepost-init: version "); err != nil {
		return err
	}
	o.v.took("restarted for the restore")
	return nil
}
