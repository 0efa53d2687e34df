#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A build server in Java: listens, and runs shells with the steps of jobs.
command -v javac >/dev/null || { echo "no javac"; exit 1; }
person builder
dir=/home/builder/server
mkdir -p "$dir"
cat >"$dir/Server.java" <<'J'
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.file.*;
public class Server {
    static int step(String text, Path home) throws Exception {
        Path script = Files.createTempFile("jenkins", ".sh");
        Files.writeString(script, "#!/bin/sh -xe\n" + text);
        int code = new ProcessBuilder("/bin/sh", "-xe", script.toString()).directory(home.toFile())
            .redirectErrorStream(true).redirectOutput(home.resolve("log").toFile()).start().waitFor();
        Files.delete(script);
        return code;
    }
    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 0);
        server.createContext("/build", it -> {
            try {
                int code = step(Files.readString(home.resolve("steps")), home);
                byte[] body = ("done " + code).getBytes();
                it.sendResponseHeaders(200, body.length);
                it.getResponseBody().write(body);
                it.close();
            } catch (Exception error) { throw new RuntimeException(error); }
        });
        server.createContext("/stop", it -> System.exit(0));
        server.start();
    }
}
J
cat >"$dir/steps" <<'T'
rm -rf work && mkdir work && cd work
git init -q . && git config user.email b@example.org && git config user.name b
printf 'int main(void) { return 0; }\n' >main.c && cc -o main main.c && ./main
git add . && git commit -q -m build
tar -czf ../artifact.tgz .
uname -a; id; env | sort | head -3; hostname
T
chown -R builder: "$dir"
runuser -u builder -- javac -d "$dir" "$dir/Server.java"
runuser -u builder -- java -cp "$dir" Server "$dir" &
daemon=$!
poll 20 curl -fsS -o /dev/null http://127.0.0.1:8080/build
for _ in 1 2 3; do curl -fsS http://127.0.0.1:8080/build; done
grep -q main.c "$dir/log" || cat "$dir/log"
curl -sS -o /dev/null http://127.0.0.1:8080/stop || true
gone 10 "$daemon"
