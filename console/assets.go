package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed assets pages
var files embed.FS

// assets are the files of pages, under names that change with what is in them, so that browsers keep them for good.
type assets struct {
	names map[string]string // "console.css" -> "/assets/console.1a2b3c4d5e6f.css"
	data  map[string][]byte // by the name behind /assets/
}

func readAssets() (*assets, error) {
	a := &assets{names: map[string]string{}, data: map[string][]byte{}}
	list, err := files.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, f := range list {
		data, err := files.ReadFile("assets/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		sum, ext := sha256.Sum256(data), path.Ext(f.Name())
		name := strings.TrimSuffix(f.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.names[f.Name()], a.data[name] = "/assets/"+name, data
	}
	return a, nil
}

// serve sends one.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, ok := a.data[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data)
}
