// SPDX-License-Identifier: Apache-2.0
// pgjdbc with autocommit off, in its query modes and with its thresholds for naming statements. Arguments: host,
// port, database, user, rounds. Run as a source file.
import java.sql.*;
import java.util.Properties;

public class JdbcTransactions {
    static int reads = 0;

    static void read(Connection c, int i) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("SELECT id, v FROM rd WHERE id = ?")) {
            s.setInt(1, i);
            try (ResultSet r = s.executeQuery()) {
                if (!r.next() || !r.getString(2).equals("value " + i) || r.next()) throw new AssertionError("read " + i);
            }
            reads++;
        }
    }

    static void run(String[] a, String mode, String threshold, boolean readOnly) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", a[3]);
        p.setProperty("password", System.getenv("PGPASSWORD"));
        p.setProperty("preferQueryMode", mode);
        p.setProperty("prepareThreshold", threshold);
        try (Connection c = DriverManager.getConnection("jdbc:postgresql://" + a[0] + ":" + a[1] + "/" + a[2], p)) {
            c.setAutoCommit(false);
            c.setReadOnly(readOnly);
            for (int n = 0; n < Integer.parseInt(a[4]); n++) {
                read(c, 1);
                read(c, 2);
                if (n % 2 == 0) c.commit(); else c.rollback();
            }
        }
    }

    public static void main(String[] a) throws Exception {
        run(a, "extended", "5", false);
        run(a, "extended", "1", false);
        run(a, "extended", "0", false);
        run(a, "extended", "-1", true);
        run(a, "extendedForPrepared", "5", true);
        run(a, "extendedCacheEverything", "5", false);
        run(a, "simple", "5", false);
        System.out.println(reads + " reads of pgjdbc");
    }
}
