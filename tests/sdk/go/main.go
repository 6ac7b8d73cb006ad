// Events of the CloudEvents SDK for Go, in both modes: counted once, however often they are sent.
//
// Usage: go run . ADDRESS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/google/uuid"
)

func main() {
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(os.Args[1] + "/v1/events"))
	if err != nil {
		log.Fatal(err)
	}
	modes := map[string]func(context.Context) context.Context{
		"structured": binding.WithForceStructured,
		"binary":     binding.WithForceBinary,
	}
	for name, mode := range modes {
		event := cloudevents.NewEvent()
		event.SetID(uuid.NewString())
		event.SetSource("go/" + name)
		event.SetType("api-calls")
		event.SetSubject("go")
		event.SetTime(time.Now())
		if err := event.SetData(cloudevents.ApplicationJSON, map[string]any{"method": "GET", "path": "/", "duration_ms": 2}); err != nil {
			log.Fatal(err)
		}
		for _, verdict := range []string{"accepted", "duplicate"} {
			answer, result := client.Request(mode(context.Background()), event)
			if cloudevents.IsUndelivered(result) || !cloudevents.IsACK(result) {
				log.Fatalf("go, %s: %v", name, result)
			}
			// An answer is no event of its own: the receipt is read as the data of one that has nothing else.
			if answer != nil && !strings.Contains(string(answer.Data()), verdict) {
				log.Fatalf("go, %s: %s", name, answer.Data())
			}
			fmt.Printf("go, %s: %s is acknowledged\n", name, verdict)
		}
		event.SetID("")
		if result := client.Send(mode(context.Background()), event); cloudevents.IsACK(result) {
			log.Fatalf("go, %s: an event without id is acknowledged", name)
		}
	}
}
