package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"gatepost/internal/control"
)

// maxToken and maxCA bound the files that say how another host is asked.
const (
	maxToken = 4 << 10
	maxCA    = 1 << 20
)

// ReadRemote reads the options that stand before a command's words, and say that another host's API is asked: --server URL
// --token-file FILE [--ca-file FILE]. rest are the arguments behind them; client is nil without them.
func ReadRemote(args []string) (client *control.Client, rest []string, err error) {
	f := flag.NewFlagSet("gatepost", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	r := control.Remote{}
	f.StringVar(&r.Server, "server", "", "")
	token := f.String("token-file", "", "")
	ca := f.String("ca-file", "", "")
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return nil, args, nil
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, args, nil
		}
		return nil, nil, fmt.Errorf("%w; before a command stand --server URL --token-file FILE [--ca-file FILE], or nothing", err)
	}
	if r.Server == "" || *token == "" {
		return nil, nil, errors.New("--server and --token-file belong together; the token stands in a file, so that no list of processes shows it")
	}
	text, err := readShort(*token, maxToken)
	if err != nil {
		return nil, nil, fmt.Errorf("--token-file: %w", err)
	}
	r.Token = strings.TrimSpace(string(text))
	if *ca != "" {
		if r.CA, err = readShort(*ca, maxCA); err != nil {
			return nil, nil, fmt.Errorf("--ca-file: %w", err)
		}
	}
	client, err = control.NewRemote(r)
	return client, f.Args(), err
}

// readShort reads a file that is not long.
func readShort(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is longer than %d octets", name, most)
	}
	return text, err
}
