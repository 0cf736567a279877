// Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Standard library only (Java 11).
//   java Leader.java [localhost:4040] [ledger]

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.regex.Pattern;

public class Leader {
    static final HttpClient HTTP = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).build(); // whatever is set for others
    static String address = "localhost:4040", ledger = "ledger";

    static String ask(String method, String path) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create("http://" + address + path)).timeout(Duration.ofSeconds(15));
        var response = HTTP.send(request.method(method, BodyPublishers.noBody()).build(), BodyHandlers.ofString());
        if (response.statusCode() != 200) throw new IOException(response.body());
        return response.body();
    }

    /** A field of a flat JSON object; use your own JSON library here. */
    static String field(String json, String name) {
        var found = Pattern.compile("\"" + name + "\": *(?:\"([^\"]*)\"|([^,}]*))").matcher(json);
        return !found.find() ? "" : found.group(1) != null ? found.group(1) : found.group(2);
    }

    /** CLOCK_BOOTTIME, which Java has no call for, rounded up: /proc/uptime has hundredths. */
    static long nowNs() throws IOException {
        var uptime = Files.readString(Path.of("/proc/uptime")).split(" ")[0].replace(".", "");
        return (Long.parseLong(uptime) + 1) * 10_000_000;
    }

    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length > 0) address = arguments[0];
        if (arguments.length > 1) ledger = arguments[1];
        for (String version = "", wait = "0"; ; ) {
            try { // told of a change at once; without one asked again after wait, since renewals move the deadline and not the version
                var now = ask("GET", "/leader?since=" + version + "&wait=" + wait);
                boolean leads = field(now, "is_leader").equals("true");
                version = field(now, "version");
                wait = leads ? "200ms" : "5s"; // the pace of the work; anything below expires_in will do
                // Right before each side effect. What the work changes should refuse a token smaller than the largest it has seen.
                if (leads && nowNs() < Long.parseLong(field(now, "valid_until_boottime_ns"))) {
                    var line = field(now, "fencing_token") + " " + field(now, "name") + "\n";
                    Files.writeString(Path.of(ledger), line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                } else if (field(now, "state").equals("stepping-down")) ask("POST", "/drained"); // nothing is under way: the next may begin
            } catch (IOException noAnswer) { // not the leader
                version = "";
                wait = "0";
                Thread.sleep(200);
            }
        }
    }
}
