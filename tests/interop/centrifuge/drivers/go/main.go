// centrifuge-go, driven by lines of JSON: commands come on stdin, answers and events go to stdout.
// The vocabulary is described in ../../sdk.py and is the same for every SDK.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// soon bounds every call of the SDK.
const soon = 10 * time.Second

// payload is application data on a line: JSON as it is, or any bytes in base64.
type payload struct {
	JSON json.RawMessage `json:"json,omitempty"`
	B64  []byte          `json:"b64,omitempty"`
}

type position struct {
	Offset uint64 `json:"offset"`
	Epoch  string `json:"epoch"`
}

type filter struct {
	Op, Key, Cmp, Val string
	Vals              []string
	Nodes             []filter
}

// command is one line of stdin, with the fields of all verbs.
type command struct {
	ID          int        `json:"id"`
	Client      string     `json:"client"`
	Verb        string     `json:"verb"`
	Base        string     `json:"base"`
	Format      string     `json:"format"`
	Name        string     `json:"name"`
	Token       string     `json:"token"`
	Tokens      *[]string  `json:"tokens"`
	Data        *payload   `json:"data"`
	Channel     string     `json:"channel"`
	Method      string     `json:"method"`
	Positioned  bool       `json:"positioned"`
	Recoverable bool       `json:"recoverable"`
	JoinLeave   bool       `json:"join_leave"`
	Delta       string     `json:"delta"`
	Filter      *filter    `json:"filter"`
	States      []position `json:"states"`
	Limit       int32      `json:"limit"`
	Since       *position  `json:"since"`
	Reverse     bool       `json:"reverse"`
}

type line = map[string]any

var stdout struct {
	sync.Mutex
	*json.Encoder
}

func say(what line) {
	stdout.Lock()
	defer stdout.Unlock()
	if err := stdout.Encode(what); err != nil {
		os.Exit(1)
	}
}

// driven is one client of the SDK, and what it tells.
type driven struct {
	name   string
	binary bool
	sdk    *centrifuge.Client
}

func newDriven(c command) *driven {
	d := &driven{name: c.Client, binary: c.Format == "protobuf"}
	config := centrifuge.Config{
		Token: c.Token, Name: c.Name, Data: d.out(c.Data), HandshakeTimeout: 5 * time.Second,
		MinReconnectDelay: 20 * time.Millisecond, MaxReconnectDelay: 150 * time.Millisecond,
	}
	if c.Tokens != nil {
		next := d.handOut(*c.Tokens, "")
		config.GetToken = func(centrifuge.ConnectionTokenEvent) (string, error) { return next() }
	}
	endpoint := strings.Replace(c.Base, "http", "ws", 1) + "/connection/websocket"
	if d.binary {
		d.sdk = centrifuge.NewProtobufClient(endpoint, config)
	} else {
		d.sdk = centrifuge.NewJsonClient(endpoint, config)
	}
	d.sdk.OnConnecting(func(e centrifuge.ConnectingEvent) { d.tell("connecting", line{"code": e.Code, "reason": e.Reason}) })
	d.sdk.OnConnected(func(e centrifuge.ConnectedEvent) {
		d.tell("connected", line{"client": e.ClientID, "version": e.Version, "data": d.given(e.Data)})
	})
	d.sdk.OnDisconnected(func(e centrifuge.DisconnectedEvent) {
		d.tell("disconnected", line{"code": e.Code, "reason": e.Reason})
	})
	d.sdk.OnError(func(e centrifuge.ErrorEvent) { d.tell("error", refusal(e.Error)) })
	d.sdk.OnMessage(func(e centrifuge.MessageEvent) { d.tell("message", line{"data": d.given(e.Data)}) })
	d.sdk.OnSubscribing(func(e centrifuge.ServerSubscribingEvent) {
		d.tell("server-subscribing", line{"channel": e.Channel})
	})
	d.sdk.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) {
		d.tell("server-subscribed", line{
			"channel": e.Channel, "recoverable": e.Recoverable, "positioned": e.Positioned,
			"was_recovering": e.WasRecovering, "recovered": e.Recovered, "position": at(e.StreamPosition),
			"data": d.given(e.Data),
		})
	})
	d.sdk.OnUnsubscribed(func(e centrifuge.ServerUnsubscribedEvent) {
		d.tell("server-unsubscribed", line{"channel": e.Channel})
	})
	d.sdk.OnPublication(func(e centrifuge.ServerPublicationEvent) {
		d.tell("server-publication", d.publication(e.Channel, e.Publication))
	})
	d.sdk.OnJoin(func(e centrifuge.ServerJoinEvent) {
		d.tell("server-join", line{"channel": e.Channel, "info": d.info(&e.ClientInfo)})
	})
	d.sdk.OnLeave(func(e centrifuge.ServerLeaveEvent) {
		d.tell("server-leave", line{"channel": e.Channel, "info": d.info(&e.ClientInfo)})
	})
	return d
}

func (d *driven) tell(event string, what line) {
	what["event"], what["of"] = event, d.name
	for key, value := range what {
		// A pointer that points nowhere is something nobody said: the other drivers leave it out, too.
		if found := reflect.ValueOf(value); !found.IsValid() || found.Kind() == reflect.Pointer && found.IsNil() {
			delete(what, key)
		}
	}
	say(what)
}

// handOut gives the application's tokens, one per call; when they are used up, it refuses.
func (d *driven) handOut(tokens []string, channel string) func() (string, error) {
	var lock sync.Mutex
	return func() (string, error) {
		lock.Lock()
		defer lock.Unlock()
		d.tell("token-asked", line{"channel": channel})
		if len(tokens) == 0 {
			return "", centrifuge.ErrUnauthorized
		}
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}
}

// out is a payload as the SDK takes it.
func (d *driven) out(data *payload) []byte {
	switch {
	case data == nil:
		return nil
	case data.B64 != nil:
		return data.B64
	default:
		return data.JSON
	}
}

// given is a payload as the SDK gives it, for the line.
func (d *driven) given(data []byte) *payload {
	switch {
	case data == nil:
		return nil
	case d.binary:
		return &payload{B64: data}
	default:
		return &payload{JSON: data}
	}
}

func at(sp *centrifuge.StreamPosition) *position {
	if sp == nil {
		return nil
	}
	return &position{sp.Offset, sp.Epoch}
}

func (d *driven) info(info *centrifuge.ClientInfo) line {
	if info == nil {
		return nil
	}
	told := line{"client": info.Client, "user": info.User}
	if info.ConnInfo != nil {
		told["conn_info"] = d.given(info.ConnInfo)
	}
	if info.ChanInfo != nil {
		told["chan_info"] = d.given(info.ChanInfo)
	}
	return told
}

func (d *driven) publication(channel string, pub centrifuge.Publication) line {
	tags := pub.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	told := line{"channel": channel, "data": d.given(pub.Data), "offset": pub.Offset, "tags": tags}
	if pub.Info != nil {
		told["info"] = d.info(pub.Info)
	}
	return told
}

func refusal(err error) line {
	told := line{"message": err.Error()}
	var reply *centrifuge.Error
	if errors.As(err, &reply) {
		told["code"], told["temporary"] = reply.Code, reply.Temporary
	}
	return told
}

// node makes the SDK's filter of the protocol's: it can only be built from its own functions.
func (f filter) node() *centrifuge.FilterNode {
	var nodes []*centrifuge.FilterNode
	for _, inner := range f.Nodes {
		nodes = append(nodes, inner.node())
	}
	switch f.Op {
	case "and":
		return centrifuge.FilterAnd(nodes...)
	case "or":
		return centrifuge.FilterOr(nodes...)
	case "not":
		return centrifuge.FilterNot(nodes[0])
	}
	several := map[string]func(string, ...string) *centrifuge.FilterNode{
		"in": centrifuge.FilterIn, "nin": centrifuge.FilterNin,
	}
	if make, found := several[f.Cmp]; found {
		return make(f.Key, f.Vals...)
	}
	none := map[string]func(string) *centrifuge.FilterNode{
		"ex": centrifuge.FilterExists, "nex": centrifuge.FilterNotExists,
	}
	if make, found := none[f.Cmp]; found {
		return make(f.Key)
	}
	one := map[string]func(string, string) *centrifuge.FilterNode{
		"eq": centrifuge.FilterEq, "neq": centrifuge.FilterNeq, "sw": centrifuge.FilterStartsWith,
		"ew": centrifuge.FilterEndsWith, "ct": centrifuge.FilterContains, "gt": centrifuge.FilterGt,
		"gte": centrifuge.FilterGte, "lt": centrifuge.FilterLt, "lte": centrifuge.FilterLte,
	}
	return one[f.Cmp](f.Key, f.Val)
}

func (d *driven) subscribe(c command) error {
	channel := c.Channel
	config := centrifuge.SubscriptionConfig{
		Token: c.Token, Data: d.out(c.Data), Positioned: c.Positioned, Recoverable: c.Recoverable, JoinLeave: c.JoinLeave,
		Delta: centrifuge.DeltaType(c.Delta), MinResubscribeDelay: 20 * time.Millisecond,
		MaxResubscribeDelay: 150 * time.Millisecond,
	}
	if c.Tokens != nil {
		next := d.handOut(*c.Tokens, channel)
		config.GetToken = func(centrifuge.SubscriptionTokenEvent) (string, error) { return next() }
	}
	if c.Filter != nil {
		config.TagsFilter = c.Filter.node()
	}
	if states := c.States; states != nil {
		config.GetState = func(centrifuge.SubscriptionGetStateEvent) (centrifuge.StreamPosition, error) {
			d.tell("state-asked", line{"channel": channel})
			state := states[0]
			if len(states) > 1 {
				states = states[1:]
			}
			return centrifuge.StreamPosition{Offset: state.Offset, Epoch: state.Epoch}, nil
		}
	}
	subscription, err := d.sdk.NewSubscription(channel, config)
	if err != nil {
		return err
	}
	subscription.OnSubscribing(func(e centrifuge.SubscribingEvent) {
		d.tell("subscribing", line{"channel": channel, "code": e.Code, "reason": e.Reason})
	})
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		d.tell("subscribed", line{
			"channel": channel, "recoverable": e.Recoverable, "positioned": e.Positioned,
			"was_recovering": e.WasRecovering, "recovered": e.Recovered, "position": at(e.StreamPosition),
			"data": d.given(e.Data),
		})
	})
	subscription.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) {
		d.tell("unsubscribed", line{"channel": channel, "code": e.Code, "reason": e.Reason})
	})
	subscription.OnError(func(e centrifuge.SubscriptionErrorEvent) {
		told := refusal(e.Error)
		told["channel"] = channel
		d.tell("subscription-error", told)
	})
	subscription.OnPublication(func(e centrifuge.PublicationEvent) {
		d.tell("publication", d.publication(channel, e.Publication))
	})
	subscription.OnJoin(func(e centrifuge.JoinEvent) {
		d.tell("join", line{"channel": channel, "info": d.info(&e.ClientInfo)})
	})
	subscription.OnLeave(func(e centrifuge.LeaveEvent) {
		d.tell("leave", line{"channel": channel, "info": d.info(&e.ClientInfo)})
	})
	return subscription.Subscribe()
}

func (d *driven) do(c command) (line, error) {
	bounded, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	switch c.Verb {
	case "connect":
		return line{}, d.sdk.Connect()
	case "disconnect":
		return line{}, d.sdk.Disconnect()
	case "drop":
		d.sdk.Close()
		return line{}, nil
	case "subscribe":
		return line{}, d.subscribe(c)
	case "unsubscribe", "resubscribe":
		subscription, found := d.sdk.GetSubscription(c.Channel)
		if !found {
			return nil, fmt.Errorf("no subscription to %s", c.Channel)
		}
		if c.Verb == "unsubscribe" {
			return line{}, subscription.Unsubscribe()
		}
		return line{}, subscription.Subscribe()
	case "publish":
		_, err := d.sdk.Publish(bounded, c.Channel, d.out(c.Data))
		return line{}, err
	case "send":
		return line{}, d.sdk.Send(bounded, d.out(c.Data))
	case "rpc":
		result, err := d.sdk.RPC(bounded, c.Method, d.out(c.Data))
		return line{"data": d.given(result.Data)}, err
	case "history":
		options := []centrifuge.HistoryOption{
			centrifuge.WithHistoryLimit(c.Limit), centrifuge.WithHistoryReverse(c.Reverse),
		}
		if c.Since != nil {
			since := &centrifuge.StreamPosition{Offset: c.Since.Offset, Epoch: c.Since.Epoch}
			options = append(options, centrifuge.WithHistorySince(since))
		}
		result, err := d.sdk.History(bounded, c.Channel, options...)
		publications := []line{}
		for _, pub := range result.Publications {
			publications = append(publications, d.publication(c.Channel, pub))
		}
		return line{"publications": publications, "offset": result.Offset, "epoch": result.Epoch}, err
	case "presence":
		result, err := d.sdk.Presence(bounded, c.Channel)
		clients := line{}
		for id, info := range result.Clients {
			clients[id] = d.info(&info)
		}
		return line{"clients": clients}, err
	case "presence_stats":
		result, err := d.sdk.PresenceStats(bounded, c.Channel)
		return line{"num_clients": result.NumClients, "num_users": result.NumUsers}, err
	}
	return nil, fmt.Errorf("no verb %s", c.Verb)
}

func main() {
	stdout.Encoder = json.NewEncoder(os.Stdout)
	stdout.SetEscapeHTML(false)
	clients := map[string]*driven{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if c.Verb == "new" {
			clients[c.Client] = newDriven(c)
			say(line{"id": c.ID, "answer": line{}})
			continue
		}
		d := clients[c.Client]
		if c.Verb == "drop" {
			delete(clients, c.Client)
		}
		answer := func() {
			told, err := d.do(c)
			if err != nil {
				say(line{"id": c.ID, "refusal": refusal(err)})
			} else {
				say(line{"id": c.ID, "answer": told})
			}
		}
		// Those that wait for the hub wait beside each other; the others keep their order.
		switch c.Verb {
		case "publish", "send", "rpc", "history", "presence", "presence_stats":
			go answer()
		default:
			answer()
		}
	}
}
