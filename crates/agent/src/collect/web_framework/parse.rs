//! What marks a framework: the name of a library, or a file of an application.

use serde::Deserialize;

/// Library names by ecosystem, and the framework each is.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("npm", "express", "Express"),
    ("npm", "koa", "Koa"),
    ("npm", "fastify", "Fastify"),
    ("npm", "next", "Next.js"),
    ("npm", "nuxt", "Nuxt"),
    ("npm", "@nestjs/core", "NestJS"),
    ("npm", "egg", "Egg.js"),
    ("python", "django", "Django"),
    ("python", "flask", "Flask"),
    ("python", "fastapi", "FastAPI"),
    ("python", "tornado", "Tornado"),
    ("python", "aiohttp", "aiohttp"),
    ("python", "pyramid", "Pyramid"),
    ("gem", "rails", "Ruby on Rails"),
    ("gem", "sinatra", "Sinatra"),
    ("java", "org.springframework.boot:spring-boot", "Spring Boot"),
    ("java", "org.springframework:spring-webmvc", "Spring MVC"),
    ("java", "org.springframework:spring-web", "Spring Web"),
    ("java", "org.apache.struts:struts2-core", "Apache Struts"),
    ("java", "io.quarkus:quarkus-core", "Quarkus"),
    ("java", "io.micronaut:micronaut-core", "Micronaut"),
    ("java", "org.apache.shiro:shiro-core", "Apache Shiro"),
    ("php", "laravel/framework", "Laravel"),
    ("php", "symfony/http-kernel", "Symfony"),
    ("php", "symfony/symfony", "Symfony"),
    ("php", "topthink/framework", "ThinkPHP"),
    ("php", "yiisoft/yii2", "Yii"),
    ("php", "slim/slim", "Slim"),
    ("php", "cakephp/cakephp", "CakePHP"),
    ("php", "codeigniter4/framework", "CodeIgniter"),
    ("php", "drupal/core", "Drupal"),
];

/// The framework that a library is.
pub(super) fn framework(ecosystem: &str, library: &str) -> Option<&'static str> {
    LIBRARIES
        .iter()
        .find(|(of, name, _)| *of == ecosystem && name.eq_ignore_ascii_case(library))
        .map(|(_, _, framework)| *framework)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Installed {
    /// Composer 2.
    Packages { packages: Vec<Package> },
    /// Composer 1.
    List(Vec<Package>),
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Names and versions of `vendor/composer/installed.json`.
pub(super) fn composer(bytes: &[u8]) -> Result<Vec<(String, String)>, serde_json::Error> {
    let packages = match serde_json::from_slice(bytes)? {
        Installed::Packages { packages } | Installed::List(packages) => packages,
    };
    let plain = |it: Package| (it.name, it.version.trim_start_matches('v').to_owned());
    Ok(packages.into_iter().map(plain).collect())
}

/// The value of `$name = 'value';` or `const NAME = 'value';` in a PHP file.
pub(super) fn php_value(bytes: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find_map(|line| {
        let rest = line.trim_start().split_once(name)?.1.trim_start();
        // `'VERSION', '1.0'` of define() as well as an assignment.
        let rest = rest.trim_start_matches(['\'', '"']).trim_start();
        let rest = rest.strip_prefix(['=', ','])?.trim_start();
        let quote = rest.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
        let value = rest.strip_prefix(quote)?.split(quote).next()?;
        (!value.is_empty() && value.len() <= 64).then(|| value.to_owned())
    })
}

/// A system that is recognised by a file of its own: where, and what its version is called.
pub(super) const SYSTEMS: &[(&str, &str, &str)] = &[
    ("WordPress", "wp-includes/version.php", "$wp_version"),
    ("Joomla", "libraries/src/Version.php", "RELEASE_VERSION"),
    ("Drupal", "core/lib/Drupal.php", "VERSION"),
    ("phpMyAdmin", "libraries/classes/Version.php", "VERSION"),
    ("Discuz!", "source/discuz_version.php", "DISCUZ_VERSION"),
    ("ThinkPHP", "thinkphp/base.php", "THINK_VERSION"),
    ("MediaWiki", "includes/Defines.php", "MW_VERSION"),
];
