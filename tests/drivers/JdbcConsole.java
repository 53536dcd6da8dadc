// SPDX-License-Identifier: Apache-2.0
// pgjdbc on the console, in each of its query modes: arguments are host, port, database, user.
import java.sql.*;
import java.util.Properties;

public class JdbcConsole {
    static void check(boolean claim, String what) {
        if (!claim) throw new AssertionError(what);
    }

    static void read(String[] a, String mode) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", a[3]);
        p.setProperty("password", System.getenv("PGPASSWORD"));
        p.setProperty("preferQueryMode", mode);
        p.setProperty("prepareThreshold", "1"); // named and binary from the second use on
        try (Connection c = DriverManager.getConnection("jdbc:postgresql://" + a[0] + ":" + a[1] + "/pgbouncer", p);
             PreparedStatement pools = c.prepareStatement("SHOW POOLS");
             PreparedStatement stats = c.prepareStatement("SHOW STATS")) {
            long before = -1;
            for (int i = 0; i < 8; i++) {
                try (ResultSet r = pools.executeQuery()) {
                    boolean found = false;
                    while (r.next())
                        found |= r.getString("database").equals("pgbouncer") && r.getInt("cl_active") == 1;
                    check(found, mode + " pools");
                }
                try (ResultSet r = stats.executeQuery()) {
                    long queries = -1;
                    while (r.next())
                        if (r.getString("database").equals("pgbouncer")) queries = r.getLong("total_query_count");
                    check(queries > before, mode + " stats " + queries);
                    before = queries;
                }
            }
            try (Statement s = c.createStatement()) {
                s.execute("RECONNECT");
            }
        }
    }

    public static void main(String[] a) throws SQLException {
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared"}) read(a, mode);
        System.out.println("pgjdbc on the console");
    }
}
